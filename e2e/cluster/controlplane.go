package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// etcd listens on the loopback of the node's network namespace, which only the node's own
// processes reach: so it does without certificates.
const etcdURL = "http://127.0.0.1:2379"

// etcdHealthURL serves health and metrics, no data, so it may be reached from outside.
const etcdHealthURL = "http://" + NodeAddress + ":2381"

func (n *nodeProvider) startEtcd(ctx context.Context) error {
	err := n.ensure(ctx, etcdName, n.tool("etcd"),
		"--name="+NodeName,
		"--data-dir="+n.path("etcd"),
		"--listen-client-urls="+etcdURL,
		"--advertise-client-urls="+etcdURL,
		"--listen-peer-urls=http://127.0.0.1:2380",
		"--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster="+NodeName+"=http://127.0.0.1:2380",
		// A test cluster need not outlive a power failure, and is several times as fast.
		"--unsafe-no-fsync",
		"--listen-metrics-urls="+etcdHealthURL,
		"--log-level=warn",
	)
	if err != nil {
		return err
	}
	return n.await(ctx, etcdName, func(ctx context.Context) error {
		return healthy(ctx, etcdHealthURL+"/health")
	})
}

func (n *nodeProvider) startApiserver(ctx context.Context) error {
	p := n.pki()
	err := n.ensure(ctx, apiserverName, n.tool("kube-apiserver"),
		"--advertise-address="+NodeAddress,
		"--bind-address=0.0.0.0",
		"--secure-port=6443",
		"--etcd-servers="+etcdURL,
		"--service-cluster-ip-range="+ServiceCIDR,
		"--allow-privileged=true",
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--client-ca-file="+p.crt(caName),
		"--tls-cert-file="+p.crt(certApiserver),
		"--tls-private-key-file="+p.key(certApiserver),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file="+p.key(keyServiceAccount),
		"--service-account-signing-key-file="+p.key(keyServiceAccount),
		// For kubectl logs, exec and port-forward. Without the address type the apiserver
		// looks the node's name up in DNS.
		"--kubelet-preferred-address-types=InternalIP",
		"--kubelet-certificate-authority="+p.crt(caName),
		"--kubelet-client-certificate="+p.crt(certApiserverKubeletClient),
		"--kubelet-client-key="+p.key(certApiserverKubeletClient),
		// For aggregation, by which KEDA's metrics adapter is an API.
		"--requestheader-client-ca-file="+p.crt(caName),
		"--requestheader-allowed-names="+frontProxyName,
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file="+p.crt(certFrontProxyClient),
		"--proxy-client-key-file="+p.key(certFrontProxyClient),
	)
	if err != nil {
		return err
	}
	return n.await(ctx, apiserverName, n.kubectl().ready)
}

func (n *nodeProvider) startControllers(ctx context.Context) error {
	p := n.pki()
	manager := n.client("kube-controller-manager")
	err := n.ensure(ctx, managerName, n.tool("kube-controller-manager"),
		"--kubeconfig="+manager,
		"--authentication-kubeconfig="+manager,
		"--authorization-kubeconfig="+manager,
		"--bind-address=127.0.0.1",
		"--leader-elect=false",
		// Its default is a folder of the machine, which it makes.
		"--flex-volume-plugin-dir="+n.volumePluginDir(),
		"--use-service-account-credentials",
		"--service-account-private-key-file="+p.key(keyServiceAccount),
		"--root-ca-file="+p.crt(caName),
		"--cluster-signing-cert-file="+p.crt(caName),
		"--cluster-signing-key-file="+p.key(caName),
		"--horizontal-pod-autoscaler-sync-period="+n.opts.HPASyncPeriod.String(),
	)
	if err != nil {
		return err
	}
	scheduler := n.client("kube-scheduler")
	return errors.Join(
		n.ensure(ctx, schedulerName, n.tool("kube-scheduler"),
			"--kubeconfig="+scheduler,
			"--authentication-kubeconfig="+scheduler,
			"--authorization-kubeconfig="+scheduler,
			"--bind-address=127.0.0.1",
			"--leader-elect=false",
		),
		n.daemons().running(managerName),
	)
}

func (n *nodeProvider) startKubelet(ctx context.Context) error {
	err := n.ensure(ctx, kubeletName, n.tool("kubelet"),
		"--config="+n.path("config", "kubelet.yaml"),
		"--kubeconfig="+n.client("kubelet"),
		"--root-dir="+n.path("kubelet"),
		"--cert-dir="+n.path("kubelet", "pki"),
		"--hostname-override="+NodeName,
		"--node-ip="+NodeAddress,
	)
	if err != nil {
		return err
	}
	err = n.ensure(ctx, proxyName, n.tool("kube-proxy"), "--config="+n.path("config", "kube-proxy.yaml"))
	if err != nil {
		return err
	}
	return n.await(ctx, kubeletName, func(ctx context.Context) error {
		if err := n.daemons().running(proxyName); err != nil {
			return err
		}
		return n.kubectl().nodeReady(ctx, NodeName)
	})
}

func (n *nodeProvider) volumePluginDir() string { return n.path("kubelet", "volume-plugins") }

func (n *nodeProvider) kubeletConfig() string {
	p := n.pki()
	return strings.NewReplacer(
		"{{ca}}", p.crt(caName), "{{crt}}", p.crt(certKubeletServer), "{{key}}", p.key(certKubeletServer),
		"{{dns}}", dnsAddress, "{{socket}}", n.containerdSocket(), "{{dir}}", n.dir, "{{name}}", NodeName,
		"{{volumePlugins}}", n.volumePluginDir(),
	).Replace(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix://{{socket}}
tlsCertFile: {{crt}}
tlsPrivateKeyFile: {{key}}
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: {{ca}}}
authorization: {mode: Webhook}
clusterDNS: ["{{dns}}"]
clusterDomain: cluster.local
# Pods resolve names of the cluster only: this machine's resolver is not theirs.
resolvConf: ""
# Works with cgroup v1 and v2, and without systemd.
cgroupDriver: cgroupfs
cgroupRoot: /{{name}}
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
# Nothing may remove an image that can't be pulled again, nor a pod because the disk of
# the machine is nearly full.
imageGCHighThresholdPercent: 100
evictionHard:
  memory.available: "0%"
  nodefs.available: "0%"
  nodefs.inodesFree: "0%"
  imagefs.available: "0%"
maxPods: 250
# How soon a pod that runs sees a changed Secret: KEDA waits for its own certificates.
syncFrequency: 5s
podLogsDir: {{dir}}/logs/pods
volumePluginDir: {{volumePlugins}}
oomScoreAdj: 0
`)
}

func (n *nodeProvider) proxyConfig() string {
	return strings.NewReplacer(
		"{{kubeconfig}}", n.client("kube-proxy"), "{{name}}", NodeName, "{{pods}}", PodCIDR,
	).Replace(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: {{kubeconfig}}}
hostnameOverride: {{name}}
clusterCIDR: {{pods}}
mode: iptables
oomScoreAdj: 0
# All of the machine's namespaces share the size of the connection table: leave it.
conntrack:
  maxPerCore: 0
  min: 0
  tcpEstablishedTimeout: 0s
  tcpCloseWaitTimeout: 0s
`)
}

// healthy is nil when a GET of the URL answers 200.
func healthy(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request) // no proxy
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, response.Status)
	}
	return nil
}
