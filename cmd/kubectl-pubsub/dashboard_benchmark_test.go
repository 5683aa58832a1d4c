package main

import (
	"bufio"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// envDashboard makes this test binary the dashboard of BenchmarkDashboard: its kubeconfig.
const envDashboard = "TEST_DASHBOARD_KUBECONFIG"

// TestDashboardProcess is no test: it is the process that BenchmarkDashboard measures.
func TestDashboardProcess(t *testing.T) {
	kubeconfig := os.Getenv(envDashboard)
	if kubeconfig == "" {
		t.Skip("BenchmarkDashboard starts it")
	}
	silenceLibraries()
	ctx, stop := context.WithCancel(t.Context())
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); stop() }() // it ends with the one who started it
	root := newRootCommand()
	root.SetOut(os.Stdout)
	root.SetArgs([]string{"dashboard", "-A", "--no-browser", "--kubeconfig", kubeconfig})
	require.NoError(t, root.ExecuteContext(ctx))
}

// measuredChannel is one as an API server sends it, with managedFields.
func measuredChannel(number int, depth int64) *v1.PubSubChannel {
	at, name := metav1.Unix(1_769_860_800, 0), fmt.Sprintf("channel-%04d", number)
	rate, inFlight := int64(40), int64(20)
	message := fmt.Sprintf("queue depth %d is within 150…450 = 100 × 3 × 50 %%…150 %%: 3 replicas", depth)
	fields := func(of string) *metav1.FieldsV1 {
		return metav1.NewFieldsV1(`{"f:` + of + `":{` + strings.TrimSuffix(strings.Repeat(`"f:aFieldOfIt":{},`, 60), ",") + `}}`)
	}
	channel := &v1.PubSubChannel{
		TypeMeta: metav1.TypeMeta{APIVersion: v1.GroupVersion.String(), Kind: "PubSubChannel"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: fmt.Sprintf("team-%02d", number%20), Name: name, UID: types.UID("9a2b7c1e-1d2c-4c8b-9c3d-" + name), Generation: 2, ResourceVersion: "1", CreationTimestamp: at,
			ManagedFields: []metav1.ManagedFieldsEntry{
				{Manager: "kubectl", Operation: "Apply", APIVersion: v1.GroupVersion.String(), Time: &at, FieldsType: "FieldsV1", FieldsV1: fields("spec")},
				{Manager: "controller", Operation: "Apply", APIVersion: v1.GroupVersion.String(), Time: &at, FieldsType: "FieldsV1", FieldsV1: fields("status"), Subresource: "status"},
			},
		},
		Spec: v1.PubSubChannelSpec{ChannelName: name, AutoScaling: &v1.AutoScalingSpec{Enabled: true, MaxReplicas: 10, TargetQueueDepth: 100}},
		Status: v1.PubSubChannelStatus{
			Phase: v1.PhaseRunning, Replicas: 3, ReadyReplicas: 3, DesiredReplicas: 3, QueueDepth: &depth, MessageRate: &rate, PolicyInUse: v1.PolicyThreshold,
			ObservedGeneration: 2, ObservedTime: &at, LastScaleTime: &at, Selector: "app=pubsub-subscriber,pubsubchannel=" + name,
			Decision: &v1.ScalingDecision{
				ObservedTime: at, Action: v1.ScalingHold, Reason: "WithinBand", Message: message, Replicas: 3, DesiredReplicas: 3,
				QueueDepth: depth, Ready: depth - 20, InFlight: &inFlight, QueueType: "list", LowerBound: 150, UpperBound: 450, Active: true, LastScaleTime: &at,
			},
		},
	}
	for _, c := range []metav1.Condition{
		{Type: v1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1.ReasonAvailable, Message: "3 of 3 workers are ready"},
		{Type: v1.ConditionConnected, Status: metav1.ConditionTrue, Reason: v1.ReasonQueueRead, Message: "the scaler reads the queue"},
		{Type: v1.ConditionScaled, Status: metav1.ConditionTrue, Reason: "WithinBand", Message: message},
		{Type: v1.ConditionPaused, Status: metav1.ConditionFalse, Reason: v1.ReasonNotPaused, Message: "nothing asks for a pause"},
	} {
		c.LastTransitionTime = at
		channel.Status.Conditions = append(channel.Status.Conditions, c)
	}
	return channel
}

// playAPIServer has 1,000 channels, each of which changes once a second. It speaks TLS and HTTP/2 as
// the real one does.
func playAPIServer(b *testing.B, channels int, changes *atomic.Int64) (kubeconfig string) {
	b.Helper()
	var objects [2][][]byte
	for version := range objects {
		for i := range channels {
			object, err := json.Marshal(measuredChannel(i, int64(300+version)))
			require.NoError(b, err)
			objects[version] = append(objects[version], object)
		}
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		out := bufio.NewWriter(w)
		if r.URL.Query().Get("watch") == "" {
			fmt.Fprint(out, `{"kind":"PubSubChannelList","apiVersion":"pubsub.jawaracloud.io/v1","metadata":{"resourceVersion":"1"},"items":[`)
			for i, object := range objects[0] {
				if i > 0 {
					_ = out.WriteByte(',')
				}
				_, _ = out.Write(object)
			}
			fmt.Fprint(out, "]}")
			_ = out.Flush()
			return
		}
		w.(http.Flusher).Flush()
		ticker := time.NewTicker(20 * time.Millisecond) // of 50 ticks, each has its part of the channels
		defer ticker.Stop()
		for next := 0; ; {
			select {
			case <-r.Context().Done():
				return
			case <-ticker.C:
			}
			for range channels / 50 {
				fmt.Fprintf(out, `{"type":"MODIFIED","object":%s}`+"\n", objects[(1+next/channels)%2][next%channels])
				next++
			}
			changes.Add(int64(channels / 50))
			if out.Flush() != nil {
				return
			}
			w.(http.Flusher).Flush()
		}
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	b.Cleanup(server.Close)
	config := clientcmdapi.NewConfig()
	config.Clusters["played"] = &clientcmdapi.Cluster{Server: server.URL, CertificateAuthorityData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})}
	config.Contexts["played"] = &clientcmdapi.Context{Cluster: "played"}
	config.CurrentContext = "played"
	file := filepath.Join(b.TempDir(), "kubeconfig")
	require.NoError(b, clientcmd.WriteToFile(*config, file))
	return file
}

// BenchmarkDashboard is what the dashboard's process takes for 1,000 channels that change each
// second, with one page, in percent of a core. It runs for about half a minute.
func BenchmarkDashboard(b *testing.B) {
	const channels, length = 1_000, 20 * time.Second
	var changes atomic.Int64
	process := exec.Command(os.Args[0], "-test.run", "^TestDashboardProcess$")
	process.Env = append(os.Environ(), envDashboard+"="+playAPIServer(b, channels, &changes))
	process.Stderr = os.Stderr
	stdin, err := process.StdinPipe()
	require.NoError(b, err)
	stdout, err := process.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, process.Start())
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = process.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(b, err)
	at, err := url.Parse(regexp.MustCompile(`http://\S+token=\w+`).FindString(line))
	require.NoError(b, err)
	port := at.Port()
	conn, _, err := websocket.Dial(b.Context(), "ws://"+at.Host+"/ws", &websocket.DialOptions{HTTPHeader: http.Header{ //nolint:bodyclose // it has none
		"Origin": {"http://" + at.Host}, "Cookie": {"kubectl_pubsub_" + port + "=" + at.Query().Get("token")},
	}})
	require.NoError(b, err)
	conn.SetReadLimit(64 << 20)
	received := 0
	for until := time.Now().Add(5 * time.Second); time.Now().Before(until); { // the start is no part of it
		_, _, err := conn.Read(b.Context())
		require.NoError(b, err)
	}
	used, begin, before := usedBy(b, process.Process.Pid), time.Now(), changes.Load()
	for time.Since(begin) < length {
		_, data, err := conn.Read(b.Context())
		require.NoError(b, err)
		received += len(data)
	}
	took := time.Since(begin).Seconds()
	b.ReportMetric(100*(usedBy(b, process.Process.Pid)-used).Seconds()/took, "%core")
	b.ReportMetric(float64(changes.Load()-before)/took, "changes/s")
	b.ReportMetric(float64(received)/took/1000, "kB/s")
	b.ReportMetric(0, "ns/op")
	_ = conn.CloseNow()
}

// usedBy is the processor time of a process, from the 14th and the 15th field of /proc/PID/stat,
// in hundredths of a second (proc_pid_stat(5)).
func usedBy(b *testing.B, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(b, err)
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	total := 0
	for _, field := range fields[11:13] {
		ticks, err := strconv.Atoi(field)
		require.NoError(b, err)
		total += ticks
	}
	return time.Duration(total) * 10 * time.Millisecond
}
