// The certificate authority, everybody's keys and kubeconfigs. Made once and kept with the state.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

type authority struct {
	place       place
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// holder is somebody who gets a certificate; the addresses make it one for serving.
type holder struct {
	file, name, group string
	names             []string
	addresses         []string
}

func (p place) key(name string) string         { return p.path("keys", name+".key") }
func (p place) certificate(name string) string { return p.path("keys", name+".crt") }

func makeKeys(place place, n number) error {
	if exists(place.kubeconfig("admin")) {
		return nil
	}
	for _, dir := range []string{"keys", "kubeconfig"} {
		if err := os.MkdirAll(place.path(dir), 0o700); err != nil {
			return err
		}
	}
	ca, err := newAuthority(place)
	if err != nil {
		return err
	}
	serviceNames := []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"}
	for _, holder := range []holder{
		{file: "apiserver", name: "kube-apiserver", names: serviceNames, addresses: []string{n.node(), n.kubernetes(), "127.0.0.1"}},
		{file: "kubelet-server", name: "system:node:" + nodeName, group: "system:nodes", names: []string{nodeName}, addresses: []string{n.node()}},
		{file: "apiserver-kubelet", name: "kube-apiserver", group: "system:masters"},
		{file: "front-proxy", name: "front-proxy"},
	} {
		if err := ca.issue(holder); err != nil {
			return err
		}
	}
	// The administrator's comes last: it says that the others are there.
	for _, holder := range []holder{
		{file: "controller-manager", name: "system:kube-controller-manager"},
		{file: "scheduler", name: "system:kube-scheduler"},
		{file: "kubelet", name: "system:node:" + nodeName, group: "system:nodes"},
		{file: "proxy", name: "system:kube-proxy"},
		{file: "admin", name: "admin", group: "system:masters"},
	} {
		if err := ca.issue(holder); err != nil {
			return err
		}
		if holder.file == "admin" {
			if err := makeServiceAccountKey(place); err != nil {
				return err
			}
		}
		if err := writeKubeconfig(place, n, holder.file); err != nil {
			return err
		}
	}
	return nil
}

func newAuthority(place place) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "mai-cluster"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().AddDate(10, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	if err := writePair(place, "ca", der, key); err != nil {
		return nil, err
	}
	return &authority{place, certificate, key}, nil
}

func (a *authority) issue(holder holder) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: holder.name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(10, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		DNSNames:     holder.names,
	}
	if holder.group != "" {
		template.Subject.Organization = []string{holder.group}
	}
	for _, address := range holder.addresses {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(address))
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return fmt.Errorf("the certificate of %s: %w", holder.name, err)
	}
	return writePair(a.place, holder.file, der, key)
}

func writePair(place place, name string, certificate []byte, key *ecdsa.PrivateKey) error {
	if err := writePEM(place.certificate(name), "CERTIFICATE", certificate); err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(place.key(name), "PRIVATE KEY", der)
}

// makeServiceAccountKey makes what tokens are signed with; it has a public key in place of a certificate.
func makeServiceAccountKey(place place) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	if err := writePEM(place.path("keys", "service-accounts.pub"), "PUBLIC KEY", public); err != nil {
		return err
	}
	return writePEM(place.key("service-accounts"), "PRIVATE KEY", private)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

func writeKubeconfig(place place, n number, who string) error {
	encoded := map[string]string{}
	for name, path := range map[string]string{"ca": place.certificate("ca"), "certificate": place.certificate(who), "key": place.key(who)} {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		encoded[name] = base64.StdEncoding.EncodeToString(content)
	}
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: mai-cluster, cluster: {server: "%s", certificate-authority-data: %s}}]
users: [{name: %s, user: {client-certificate-data: %s, client-key-data: %s}}]
contexts: [{name: mai-cluster, context: {cluster: mai-cluster, user: %s}}]
current-context: mai-cluster
`, n.server(), encoded["ca"], who, encoded["certificate"], encoded["key"], who)
	path := place.kubeconfig(who)
	beside := filepath.Join(filepath.Dir(path), "."+who)
	if err := os.WriteFile(beside, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(beside, path)
}
