package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// kedaVersion is the tag of KEDA's images, which is its release without the "v".
const kedaVersion = "2.21.0"

const kedaNamespace = "keda"

// A kedaImage is one image of KEDA's manifest and, for the node provider, what it is made of.
type kedaImage struct {
	repository string
	// binary is the file in the tools folder.
	binary string
	// entrypoint is where the manifest expects the program.
	entrypoint string
}

func (i kedaImage) name() string { return i.repository + ":" + kedaVersion }

var kedaImages = []kedaImage{
	{"ghcr.io/kedacore/keda", "keda-operator", "/keda"},
	{"ghcr.io/kedacore/keda-metrics-apiserver", "keda-adapter", "/keda-adapter"},
	{"ghcr.io/kedacore/keda-admission-webhooks", "keda-webhooks", "/keda-admission-webhooks"},
}

// A kedaDeployment is one Deployment of KEDA. After a crash its status may still be the one
// from before, so that only an answer shows that it runs.
type kedaDeployment struct {
	name string
	// answers is a path of the apiserver that the Deployment's pod answers.
	answers string
}

var kedaDeployments = []kedaDeployment{
	{"keda-operator", "/api/v1/namespaces/keda/services/http:keda-operator:8080/proxy/metrics"},
	{"keda-metrics-apiserver", "/apis/external.metrics.k8s.io/v1beta1"},
	{"keda-admission", "/api/v1/namespaces/keda/services/http:keda-admission-webhooks:8080/proxy/metrics"},
}

func (d kedaDeployment) ready(ctx context.Context, k kubectl) error {
	if err := k.deploymentAvailable(ctx, kedaNamespace, d.name); err != nil {
		return err
	}
	return k.answers(ctx, d.answers)
}

// kedaManifest puts the release's tags into the manifest of KEDA's sources, which names the
// development images and has them pulled anew every time.
func kedaManifest(source string) (string, error) {
	for _, image := range kedaImages {
		from := "image: " + image.repository + ":main\n        imagePullPolicy: Always\n"
		to := "image: " + image.name() + "\n        imagePullPolicy: IfNotPresent\n"
		if count := strings.Count(source, from); count != 1 {
			return "", fmt.Errorf("KEDA's manifest has the image %s:main %d times instead of once", image.repository, count)
		}
		source = strings.Replace(source, from, to, 1)
	}
	return source, nil
}

// installKEDA applies KEDA's manifest and waits until KEDA serves.
func installKEDA(ctx context.Context, progress *progress, k kubectl, manifestPath, dir string) error {
	source, err := os.ReadFile(manifestPath)
	if err != nil {
		return fmt.Errorf("KEDA: %w", err)
	}
	manifest, err := kedaManifest(string(source))
	if err != nil {
		return err
	}
	err = progress.step(ctx, 2*time.Minute, "KEDA: applying its manifest", func(ctx context.Context) error {
		return applyOnce(ctx, k, filepath.Join(dir, "applied", "keda.yaml"), manifest)
	})
	if err != nil {
		return err
	}
	return progress.step(ctx, 5*time.Minute, "KEDA: waiting for it to be Available", func(ctx context.Context) error {
		return poll(ctx, time.Second, func(ctx context.Context) error {
			for _, d := range kedaDeployments {
				if err := d.ready(ctx, k); err != nil {
					return err
				}
			}
			return k.externalMetricsAvailable(ctx)
		})
	})
}

// applyOnce applies a manifest unless it is what was applied before. The record is written
// last, so that an interrupted apply is repeated.
func applyOnce(ctx context.Context, k kubectl, record, manifest string) error {
	if applied, err := os.ReadFile(record); err == nil && string(applied) == manifest {
		return nil
	}
	if err := k.apply(ctx, manifest); err != nil {
		return err
	}
	return writeFile(record, []byte(manifest), 0o644)
}
