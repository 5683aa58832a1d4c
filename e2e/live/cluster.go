package live

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
)

//go:embed manifests/*.yaml
var manifests embed.FS

// values are what the manifests are filled with.
type values struct {
	Name, Namespace, ImageTag, HandlerURL, Policy string

	Spec            policy.Spec
	Start           int32 // replicas before an HPA
	CooldownSeconds int
	WorkTime        time.Duration
	Seed            uint64
}

// render fills one of the manifests.
func render(name string, v values) (string, error) {
	parsed, err := template.ParseFS(manifests, "manifests/"+name)
	if err != nil {
		return "", fmt.Errorf("manifest %s: %w", name, err)
	}
	var text strings.Builder
	if err := parsed.Execute(&text, v); err != nil {
		return "", fmt.Errorf("manifest %s: %w", name, err)
	}
	return text.String(), nil
}

// programs are kubectl and helm, for the cluster of a kubeconfig.
type programs struct{ dir, kubeconfig string }

// run runs one to its end. Its error has what it said.
func (p programs) run(ctx context.Context, stdin, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(p.dir, program), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+p.kubeconfig, "NO_PROXY=*", "no_proxy=*")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// apply applies one of the manifests.
func (l *live) apply(ctx context.Context, name string) error {
	manifest, err := render(name, l.values)
	if err != nil {
		return err
	}
	_, err = l.programs.run(ctx, manifest, "kubectl", "apply", "--server-side", "--force-conflicts", "--field-manager=live", "--filename=-")
	return err
}

func (l *live) kubectl(ctx context.Context, args ...string) (string, error) {
	return l.programs.run(ctx, "", "kubectl", append([]string{"--namespace", l.Namespace}, args...)...)
}
