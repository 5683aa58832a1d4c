package cluster

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
)

// kubeconfig returns a kubeconfig with everything in it, so that it can be copied.
func (p pki) kubeconfig(client string) ([]byte, error) {
	var encoded [3]string
	for i, path := range []string{p.crt(caName), p.crt(client), p.key(client)} {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		encoded[i] = base64.StdEncoding.EncodeToString(data)
	}
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: %[1]s
  cluster:
    server: https://%[2]s:6443
    certificate-authority-data: %[3]s
users:
- name: %[4]s
  user:
    client-certificate-data: %[5]s
    client-key-data: %[6]s
contexts:
- name: %[1]s
  context:
    cluster: %[1]s
    user: %[4]s
current-context: %[1]s
`, NodeName, NodeAddress, encoded[0], client, encoded[1], encoded[2]), nil
}

// writeKubeconfigs writes the kubeconfig of each client into dir, as <name>.kubeconfig.
func (p pki) writeKubeconfigs(dir string) error {
	for _, c := range clients {
		data, err := p.kubeconfig(c.name)
		if err != nil {
			return fmt.Errorf("kubeconfig of %s: %w", c.name, err)
		}
		if err := writeFile(filepath.Join(dir, c.name+".kubeconfig"), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}
