// Package pki makes the certificates, keys and kubeconfigs of a cluster.
// They are for a cluster that only this machine can reach: one CA signs all of them, for ten years.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const lifetime = 10 * 365 * 24 * time.Hour

// Spec describes one certificate.
type Spec struct {
	// File is the name without extension; the pair is File.crt and File.key.
	File         string
	CommonName   string
	Organization []string
	DNSNames     []string
	IPs          []net.IP
	Usage        x509.ExtKeyUsage
}

// Specs returns the certificates of a cluster whose node has the name node and the address nodeIP.
func Specs(node, nodeIP, apiServiceIP string) []Spec {
	loopback := net.IPv4(127, 0, 0, 1)
	server, client := x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth
	masters := []string{"system:masters"}
	return []Spec{
		{
			File: "apiserver", CommonName: "kube-apiserver", Usage: server,
			DNSNames: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
			IPs:      []net.IP{loopback, net.IPv6loopback, net.ParseIP(apiServiceIP), net.ParseIP(nodeIP)},
		},
		{File: "kubelet", CommonName: node, Usage: server, DNSNames: []string{node, "localhost"}, IPs: []net.IP{loopback, net.ParseIP(nodeIP)}},
		{File: "apiserver-kubelet-client", CommonName: "kube-apiserver-kubelet-client", Organization: masters, Usage: client},
		{File: "front-proxy-client", CommonName: "front-proxy-client", Usage: client},
		{File: "admin", CommonName: "kubebox-admin", Organization: masters, Usage: client},
		{File: "controller-manager", CommonName: "system:kube-controller-manager", Usage: client},
		{File: "scheduler", CommonName: "system:kube-scheduler", Usage: client},
		{File: "proxy", CommonName: "system:kube-proxy", Usage: client},
		// CoreDNS reads EndpointSlices and Pods, for which no bootstrap role of a user exists.
		{File: "coredns", CommonName: "system:kube-dns", Organization: masters, Usage: client},
		{File: "kubelet-client", CommonName: "system:node:" + node, Organization: []string{"system:nodes"}, Usage: client},
	}
}

// Ensure fills dir with the CA, the certificates of specs and the service-account key, unless dir exists.
// It writes to a folder beside dir and renames it, so that dir is complete or absent.
func Ensure(dir string, specs []Spec) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	tmp := dir + ".new"
	if err := os.RemoveAll(tmp); err != nil {
		return fmt.Errorf("remove %s: %w", tmp, err)
	}
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return fmt.Errorf("create %s: %w", tmp, err)
	}
	if err := generate(tmp, specs); err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil {
		return fmt.Errorf("rename %s: %w", tmp, err)
	}
	return nil
}

func generate(dir string, specs []Spec) error {
	ca, err := newAuthority()
	if err != nil {
		return err
	}
	if err := writePair(dir, "ca", ca.cert.Raw, ca.key); err != nil {
		return err
	}
	for _, s := range specs {
		raw, key, err := ca.issue(s)
		if err != nil {
			return fmt.Errorf("issue certificate %s: %w", s.File, err)
		}
		if err := writePair(dir, s.File, raw, key); err != nil {
			return err
		}
	}
	return writeServiceAccountKey(dir)
}

// authority is the CA.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate CA key: %w", err)
	}
	t, err := template("kubebox-ca")
	if err != nil {
		return nil, err
	}
	t.IsCA, t.BasicConstraintsValid = true, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
	raw, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("create CA certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		return nil, fmt.Errorf("parse CA certificate: %w", err)
	}
	return &authority{cert: cert, key: key}, nil
}

func (a *authority) issue(s Spec) (raw []byte, key crypto.Signer, err error) {
	key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	t, err := template(s.CommonName)
	if err != nil {
		return nil, nil, err
	}
	t.Subject.Organization = s.Organization
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{s.Usage}
	t.DNSNames, t.IPAddresses = s.DNSNames, s.IPs
	raw, err = x509.CreateCertificate(rand.Reader, t, a.cert, key.Public(), a.key)
	return raw, key, err
}

func template(commonName string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("generate serial number: %w", err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: commonName},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(lifetime),
	}, nil
}

func writePair(dir, file string, certificate []byte, key any) error {
	if err := writePEM(filepath.Join(dir, file+".crt"), "CERTIFICATE", certificate); err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode key %s: %w", file, err)
	}
	return writePEM(filepath.Join(dir, file+".key"), "PRIVATE KEY", der)
}

// writeServiceAccountKey writes the pair that signs and verifies service-account tokens.
func writeServiceAccountKey(dir string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("generate service-account key: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode service-account key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("encode service-account public key: %w", err)
	}
	if err := writePEM(filepath.Join(dir, "sa.key"), "PRIVATE KEY", private); err != nil {
		return err
	}
	return writePEM(filepath.Join(dir, "sa.pub"), "PUBLIC KEY", public)
}

func writePEM(path, kind string, der []byte) error {
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
