// Volumes: directories of the node for claims, as k3s and kind make them. Kubernetes' own host-path provisioner makes directories that only
// root can write into and cannot grow them; here the kubelet sees to the owner (fsGroup), and claims of one class may grow.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const provisioner = "mai.dev/directories"

// The default class waits for a pod and can grow; "fixed" binds at once and cannot.
var classes = map[string]struct {
	grows bool
	binds storagev1.VolumeBindingMode
}{
	"standard": {true, storagev1.VolumeBindingWaitForFirstConsumer},
	"fixed":    {false, storagev1.VolumeBindingImmediate},
}

func runVolumes(arguments []string) error {
	if len(arguments) != 2 {
		return fmt.Errorf("volumes needs a kubeconfig and a directory")
	}
	client, err := clientFor(arguments[0])
	if err != nil {
		return err
	}
	// Lists from the API server's memory: cheap enough to look often, and nothing to pick up after a restart.
	for ; ; time.Sleep(200 * time.Millisecond) {
		if err := makeClasses(client); err != nil {
			note("classes: %v", err)
			continue
		}
		if err := serveClaims(client, arguments[1]); err != nil {
			note("claims: %v", err)
		}
		if err := removeReleased(client, arguments[1]); err != nil {
			note("volumes: %v", err)
		}
	}
}

func makeClasses(client *kubernetes.Clientset) error {
	for name, class := range classes {
		reclaim := corev1.PersistentVolumeReclaimDelete
		object := &storagev1.StorageClass{
			ObjectMeta:           metav1.ObjectMeta{Name: name},
			Provisioner:          provisioner,
			ReclaimPolicy:        &reclaim,
			AllowVolumeExpansion: &class.grows,
			VolumeBindingMode:    &class.binds,
		}
		if class.grows {
			object.Annotations = map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}
		}
		_, err := client.StorageV1().StorageClasses().Get(background, name, metav1.GetOptions{ResourceVersion: "0"})
		if apierrors.IsNotFound(err) {
			_, err = client.StorageV1().StorageClasses().Create(background, object, metav1.CreateOptions{})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func serveClaims(client *kubernetes.Clientset, directory string) error {
	claims, err := client.CoreV1().PersistentVolumeClaims("").List(background, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return err
	}
	for _, claim := range claims.Items {
		if claim.Spec.StorageClassName == nil || claim.DeletionTimestamp != nil {
			continue
		}
		class, ours := classes[*claim.Spec.StorageClassName]
		if !ours {
			continue
		}
		waits := class.binds == storagev1.VolumeBindingWaitForFirstConsumer
		chosen := claim.Annotations["volume.kubernetes.io/selected-node"] != ""
		switch {
		case claim.Spec.VolumeName == "" && (chosen || !waits):
			err = provision(client, directory, &claim)
		case claim.Status.Phase == corev1.ClaimBound:
			err = grow(client, &claim)
		}
		if err != nil {
			note("claim %s/%s: %v", claim.Namespace, claim.Name, err)
		}
	}
	return nil
}

func provision(client *kubernetes.Clientset, directory string, claim *corev1.PersistentVolumeClaim) error {
	name := "pvc-" + string(claim.UID)
	path := filepath.Join(directory, name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	here := corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{
		{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{nodeName}},
	}}
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Annotations: map[string]string{"pv.kubernetes.io/provisioned-by": provisioner},
		},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: claim.Spec.Resources.Requests[corev1.ResourceStorage]},
			AccessModes:                   claim.Spec.AccessModes,
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			StorageClassName:              *claim.Spec.StorageClassName,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: path}},
			NodeAffinity:                  &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{here}}},
			ClaimRef: &corev1.ObjectReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
			},
		},
	}
	_, err := client.CoreV1().PersistentVolumes().Create(background, volume, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// grow does what a resizer does: the volume first, then the claim's status. Admission has seen to it that the class allows it.
func grow(client *kubernetes.Clientset, claim *corev1.PersistentVolumeClaim) error {
	wanted, has := claim.Spec.Resources.Requests[corev1.ResourceStorage], claim.Status.Capacity[corev1.ResourceStorage]
	if wanted.Cmp(has) <= 0 {
		return nil
	}
	volume, err := client.CoreV1().PersistentVolumes().Get(background, claim.Spec.VolumeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	volume.Spec.Capacity[corev1.ResourceStorage] = wanted
	if _, err = client.CoreV1().PersistentVolumes().Update(background, volume, metav1.UpdateOptions{}); err != nil {
		return err
	}
	claim.Status.Capacity[corev1.ResourceStorage] = wanted
	_, err = client.CoreV1().PersistentVolumeClaims(claim.Namespace).UpdateStatus(background, claim, metav1.UpdateOptions{})
	return err
}

func removeReleased(client *kubernetes.Clientset, directory string) error {
	volumes, err := client.CoreV1().PersistentVolumes().List(background, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return err
	}
	for _, volume := range volumes.Items {
		ours := volume.Annotations["pv.kubernetes.io/provisioned-by"] == provisioner
		kept := volume.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete
		if !ours || kept || volume.Status.Phase != corev1.VolumeReleased {
			continue
		}
		if err := os.RemoveAll(filepath.Join(directory, volume.Name)); err != nil {
			return err
		}
		if err := client.CoreV1().PersistentVolumes().Delete(background, volume.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}
