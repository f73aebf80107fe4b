// What the supervisor itself asks the API server.
package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

var background = context.Background()

func clientFor(kubeconfig string) (*kubernetes.Clientset, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 100, 200
	return kubernetes.NewForConfig(config)
}

// waitForControllers waits for what a controller makes in each namespace, and without which no pod is admitted.
func waitForControllers(place place) error {
	return waitFor("the service account of the namespace default", func(client *kubernetes.Clientset) error {
		_, err := client.CoreV1().ServiceAccounts("default").Get(background, "default", metav1.GetOptions{})
		return err
	}, place)
}

func waitForNode(place place) error {
	return waitFor("the node to be ready", func(client *kubernetes.Clientset) error {
		node, err := client.CoreV1().Nodes().Get(background, nodeName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(node.Spec.Taints) > 0 {
			return fmt.Errorf("the node is tainted: %v", node.Spec.Taints)
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("the node is not ready: %v", node.Status.Conditions)
	}, place)
}

func waitFor(what string, attempt func(*kubernetes.Clientset) error, place place) error {
	client, err := clientFor(place.kubeconfig("admin"))
	if err != nil {
		return err
	}
	for until := time.Now().Add(startPatience); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		if err = attempt(client); err == nil {
			return nil
		}
	}
	return fmt.Errorf("waited in vain for %s: %w; logs are in %s", what, err, place.path("log"))
}
