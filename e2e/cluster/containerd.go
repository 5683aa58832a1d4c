package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/jawaracloud/pubsub-operator/e2e/imagetar"
)

// The images that the node provider makes. KEDA's have the names of its manifest; the
// others have names that no registry has.
const (
	pauseImage   = "e2e.local/pause:1"
	coreDNSImage = "e2e.local/coredns:1"
)

// containerdConfig is containerd's configuration, version 2: 1.6 knows no later one, and
// later releases convert it.
const containerdConfig = `version = 2
root = "{{dir}}/containerd/root"
state = "{{dir}}/containerd/state"

[grpc]
  address = "{{socket}}"

# Its default is a folder of the machine, which it makes.
[plugins."io.containerd.internal.v1.opt"]
  path = "{{dir}}/containerd/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{{pause}}"
  # Without this runc fails where the machine lacks CAP_SYS_RESOURCE, with
  # "can't get final child's PID from pipe: EOF".
  restrict_oom_score_adj = true
  # A profile once loaded would stay in the machine's kernel.
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{{cniFolder}}"
    conf_dir = "{{dir}}/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{{snapshotter}}"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        Root = "{{dir}}/containerd/runc"
`

func (n *nodeProvider) containerdSocket() string { return n.path("run", "containerd.sock") }

// writeConfigs writes the configuration files of the daemons.
func (n *nodeProvider) writeConfigs() error {
	containerd := strings.NewReplacer("{{dir}}", n.dir, "{{socket}}", n.containerdSocket(), "{{pause}}", pauseImage,
		"{{cniFolder}}", cniFolder(), "{{snapshotter}}", snapshotter(n.dir)).Replace(containerdConfig)
	for path, content := range map[string]string{
		n.path("config", "containerd.toml"):                containerd,
		n.path("cni", "net.d", "10-"+NodeName+".conflist"): cniConfig(n.dir),
		n.path("config", "kubelet.yaml"):                   n.kubeletConfig(),
		n.path("config", "kube-proxy.yaml"):                n.proxyConfig(),
	} {
		if err := writeFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (n *nodeProvider) startContainerd(ctx context.Context) error {
	// In the network namespace, so that the pods' links are made there.
	if err := n.ensure(ctx, containerdName, lookPath("containerd"), "--config", n.path("config", "containerd.toml")); err != nil {
		return err
	}
	return n.await(ctx, containerdName, n.runtimeReady)
}

// runtimeReady is nil when containerd does what the kubelet asks for at its start; it listens before that, while it
// still looks for the containers that it had. The kubelet asks once, and ends if the answer is an error.
func (n *nodeProvider) runtimeReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	connection, err := grpc.NewClient("unix://"+n.containerdSocket(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	// Every field of both messages is optional, and none is needed here.
	return connection.Invoke(ctx, "/runtime.v1.RuntimeService/Version", &emptypb.Empty{}, &emptypb.Empty{})
}

// ctr runs containerd's own client, in the namespace in which the kubelet sees images.
func (n *nodeProvider) ctr(ctx context.Context, args ...string) (string, error) {
	return run(ctx, "", "ctr", append([]string{"--address", n.containerdSocket(), "--namespace", "k8s.io"}, args...)...)
}

func (n *nodeProvider) load(ctx context.Context, tar string) error {
	if err := n.daemons().running(containerdName); err != nil {
		return err
	}
	_, err := n.ctr(ctx, "images", "import", "--snapshotter", snapshotter(n.dir), tar)
	return err
}

// images are the images of the node's own pods.
func (n *nodeProvider) images() []imagetar.Image {
	program := func(name, path, source, user string) imagetar.Image {
		files := []imagetar.File{{Path: path, Source: source, Mode: 0o755}}
		return imagetar.Image{Name: name, Files: files, User: user, Entrypoint: []string{path}}
	}
	const nonroot = "65532:65532"
	images := []imagetar.Image{
		program(pauseImage, "/pause", n.tool("pause"), nonroot),
		program(coreDNSImage, "/coredns", n.tool("coredns"), nonroot),
	}
	if n.opts.KEDA {
		for _, image := range kedaImages {
			images = append(images, program(image.name(), image.entrypoint, n.tool(image.binary), nonroot))
		}
	}
	return images
}

// importImages makes the images that containerd does not know yet.
func (n *nodeProvider) importImages(ctx context.Context) error {
	known, err := n.ctr(ctx, "images", "list", "--quiet")
	if err != nil {
		return err
	}
	for _, image := range n.images() {
		if n.imported(known, image) {
			continue
		}
		if err := n.importImage(ctx, image); err != nil {
			return fmt.Errorf("image %s: %w", image.Name, err)
		}
	}
	return nil
}

// importedPath is the file that names the binary which an image was made of, so that
// another binary makes another image even under the same name.
func (n *nodeProvider) importedPath(image imagetar.Image) string {
	return n.path("images", strings.NewReplacer("/", "_", ":", "_").Replace(image.Name))
}

func (n *nodeProvider) imported(known string, image imagetar.Image) bool {
	from, err := os.ReadFile(n.importedPath(image))
	return err == nil && string(from) == image.Files[0].Source && strings.Contains("\n"+known, "\n"+image.Name+"\n")
}

func (n *nodeProvider) importImage(ctx context.Context, image imagetar.Image) error {
	tar := filepath.Join(n.path("images"), "import.tar")
	if err := imagetar.Write(tar, image); err != nil {
		return err
	}
	defer os.Remove(tar)
	if err := n.load(ctx, tar); err != nil {
		return err
	}
	return writeFile(n.importedPath(image), []byte(image.Files[0].Source), 0o644)
}
