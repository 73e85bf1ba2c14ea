package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/khronicle/khronicle/tools/kubebox/internal/pki"
)

func specs() []pki.Spec { return pki.Specs("kubebox", "10.230.0.1", "10.96.0.1") }

func TestCertificatesVerifyAgainstTheCA(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	if err := pki.Ensure(dir, specs()); err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("ca.crt holds no certificate")
	}
	for _, s := range specs() {
		t.Run(s.File, func(t *testing.T) {
			pair, err := tls.LoadX509KeyPair(filepath.Join(dir, s.File+".crt"), filepath.Join(dir, s.File+".key"))
			if err != nil {
				t.Fatal(err)
			}
			opts := x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{s.Usage}}
			if _, err := pair.Leaf.Verify(opts); err != nil {
				t.Errorf("verify: %v", err)
			}
			if got := pair.Leaf.Subject.CommonName; got != s.CommonName {
				t.Errorf("common name = %q, want %q", got, s.CommonName)
			}
			for _, ip := range s.IPs {
				if err := pair.Leaf.VerifyHostname(ip.String()); err != nil {
					t.Errorf("verify address: %v", err)
				}
			}
		})
	}
}

func TestEnsureKeepsWhatExists(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	read := func() string {
		t.Helper()
		if err := pki.Ensure(dir, specs()); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, "sa.key"))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if first, second := read(), read(); first != second {
		t.Error("the second Ensure replaced the keys")
	}
}

func TestEnsureStartsAgainAfterAnInterruptedRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	if err := os.MkdirAll(dir+".new", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := pki.Ensure(dir, specs()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "ca.key")); err != nil {
		t.Error(err)
	}
}

func TestKubeconfigNamesServerAndUser(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	if err := pki.Ensure(dir, specs()); err != nil {
		t.Fatal(err)
	}
	if err := pki.WriteKubeconfig(dir, "admin.kubeconfig", "kubebox-dev", "https://127.0.0.1:16443", "admin"); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "admin.kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`server: "https://127.0.0.1:16443"`, "current-context: kubebox-dev", "client-key-data: LS0t"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("kubeconfig lacks %q", want)
		}
	}
}
