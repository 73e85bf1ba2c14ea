package pki

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
)

const kubeconfigFormat = `apiVersion: v1
kind: Config
clusters:
- name: %[1]s
  cluster:
    server: %[2]q
    certificate-authority-data: %[3]s
users:
- name: %[4]s
  user:
    client-certificate-data: %[5]s
    client-key-data: %[6]s
contexts:
- name: %[1]s
  context: {cluster: %[1]s, user: %[4]s}
current-context: %[1]s
`

// WriteKubeconfig writes the kubeconfig file name in dir, with the certificate and key of user, for the API server at the
// URL server. The context is called context.
func WriteKubeconfig(dir, name, context, server, user string) error {
	data := make([]any, 0, 3)
	for _, file := range []string{"ca.crt", user + ".crt", user + ".key"} {
		b, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			return fmt.Errorf("write kubeconfig %s: %w", name, err)
		}
		data = append(data, base64.StdEncoding.EncodeToString(b))
	}
	text := fmt.Sprintf(kubeconfigFormat, context, server, data[0], user, data[1], data[2])
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		return fmt.Errorf("write kubeconfig %s: %w", name, err)
	}
	return nil
}
