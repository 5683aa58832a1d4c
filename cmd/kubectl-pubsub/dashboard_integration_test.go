//go:build integration

package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
)

// liveSoon is how long anything that is to happen in a dashboard may take on a busy machine.
const liveSoon = 2 * time.Minute

// dashboard is a page of one that runs.
type dashboard struct {
	t          *testing.T
	conn       *websocket.Conn
	rows       map[string]protocol.Row
	namespaces map[string]protocol.Namespace
	told       int // of how many namespaces it was told last
	connection protocol.Connection
	channel    protocol.Channel // the parts that were told last
	answers    map[int]protocol.Answer
	asked      int
}

// dashboard runs the command, and opens its page as a browser does.
func (c *cluster) dashboard(t *testing.T, args ...string) *dashboard {
	t.Helper()
	ctx, interrupt := context.WithCancel(t.Context())
	out, problems := &transcript{}, &transcript{}
	root := newRootCommand()
	root.SetOut(out)
	root.SetErr(problems)
	root.SetArgs(append([]string{"dashboard"}, args...))
	ended := make(chan error, 1)
	go func() { ended <- root.ExecuteContext(ctx) }()
	t.Cleanup(func() {
		interrupt()
		select {
		case err := <-ended:
			assert.NoError(t, err)
		case <-time.After(liveSoon):
			assert.Fail(t, "the dashboard does not end")
		}
	})
	printed := regexp.MustCompile(`^The dashboard is at (http://127\.0\.0\.1:\d+/\?token=\w+); Ctrl-C ends it\.\n$`)
	require.Eventually(t, func() bool { return printed.MatchString(out.String()) }, liveSoon, tick, "%s", problems)
	at, err := url.Parse(printed.FindStringSubmatch(out.String())[1])
	require.NoError(t, err)
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := browser.Get(at.String())
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Len(t, response.Cookies(), 1)
	cookie := response.Cookies()[0]
	conn, _, err := websocket.Dial(t.Context(), "ws://"+at.Host+"/ws", &websocket.DialOptions{HTTPHeader: http.Header{ //nolint:bodyclose // it has none
		"Origin": {"http://" + at.Host}, "Cookie": {cookie.Name + "=" + cookie.Value},
	}})
	require.NoError(t, err)
	conn.SetReadLimit(64 << 20)
	t.Cleanup(func() { _ = conn.CloseNow() })
	return &dashboard{t: t, conn: conn, rows: map[string]protocol.Row{}, namespaces: map[string]protocol.Namespace{}, answers: map[int]protocol.Answer{}}
}

// until reads messages until it is as wanted.
func (d *dashboard) until(words string, wanted func() bool) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), liveSoon)
	defer cancel()
	for !wanted() {
		_, data, err := d.conn.Read(ctx)
		require.NoError(d.t, err, "%s: %+v %+v", words, d.namespaces, d.connection)
		m := protocol.Envelope{}
		require.NoError(d.t, json.Unmarshal(data, &m))
		d.take(m)
	}
}

func (d *dashboard) take(m protocol.Envelope) {
	permissions := []protocol.Namespace(nil)
	switch m.Kind {
	case protocol.KindHello:
		permissions = m.Hello.Namespaces
	case protocol.KindConnection:
		d.connection = *m.Connection
	case protocol.KindFleet:
		permissions = m.Fleet.Namespaces
		for _, row := range m.Fleet.Rows {
			d.rows[row.Key] = row
		}
		for _, key := range m.Fleet.Gone {
			delete(d.rows, key)
		}
	case protocol.KindChannel:
		if m.Channel.Events == nil {
			m.Channel.Events = d.channel.Events
		}
		if m.Channel.Workers == nil {
			m.Channel.Workers = d.channel.Workers
		}
		if m.Channel.Forbidden == nil {
			m.Channel.Forbidden = d.channel.Forbidden
		}
		if m.Channel.Conditions == nil {
			m.Channel.Conditions = d.channel.Conditions
		}
		d.channel = *m.Channel
	case protocol.KindAnswer:
		d.answers[m.Answer.ID] = *m.Answer
	}
	if permissions != nil {
		d.told = len(permissions)
	}
	for _, namespace := range permissions {
		d.namespaces[namespace.Name] = namespace
	}
}

func (d *dashboard) ask(r protocol.Request) protocol.Answer {
	d.t.Helper()
	d.asked++
	r.ID = d.asked
	data, err := json.Marshal(r)
	require.NoError(d.t, err)
	require.NoError(d.t, d.conn.Write(d.t.Context(), websocket.MessageText, data))
	d.until("the answer", func() bool { _, there := d.answers[r.ID]; return there })
	return d.answers[r.ID]
}

// decided gives a channel a status, as the controller does.
func (c *cluster) decided(t *testing.T, channel *v1.PubSubChannel, depth int64) {
	t.Helper()
	now := metav1.Now()
	channel.Status = v1.PubSubChannelStatus{
		Phase: v1.PhaseRunning, Replicas: 3, ReadyReplicas: 3, DesiredReplicas: 3, QueueDepth: &depth, Selector: "pubsubchannel=" + channel.Name,
		Decision: &v1.ScalingDecision{
			ObservedTime: now, Action: v1.ScalingHold, Reason: "WithinBand", Message: "it is within the band", QueueType: "list",
			Replicas: 3, DesiredReplicas: 3, QueueDepth: depth, Ready: depth, LowerBound: 150, UpperBound: 450, Active: true,
		},
		Conditions: []metav1.Condition{
			{Type: v1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1.ReasonAvailable, Message: "3 of 3", LastTransitionTime: now},
			{Type: v1.ConditionConnected, Status: metav1.ConditionTrue, Reason: v1.ReasonQueueRead, Message: "read", LastTransitionTime: now},
		},
	}
	require.NoError(t, c.Status().Update(t.Context(), channel))
}

// reader is the kubeconfig of a user who may get, list and watch channels in one namespace, and
// nothing else.
func (c *cluster) reader(t *testing.T, namespace string) (kubeconfig, name string) {
	t.Helper()
	name = "reader-of-" + namespace
	kubeconfig, err := c.kubeconfig(name)
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.Remove(kubeconfig) })
	require.NoError(t, c.Create(t.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "reader"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{v1.GroupVersion.Group}, Resources: []string{"pubsubchannels"}, Verbs: []string{"get", "list", "watch"}},
	}}))
	require.NoError(t, c.Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "reader"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "reader"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}},
	}))
	return kubeconfig, name
}

// A user with rights to channels in one namespace sees that, and the rest as not permitted; in the
// open channel, what else is not permitted is told with the right that is missing.
func TestADashboardOfOneNamespace(t *testing.T) {
	c := sharedCluster(t)
	mine, other := c.namespace(t), c.namespace(t)
	orders := c.channel(t, mine, "orders", true)
	c.channel(t, other, "secret", true)
	c.decided(t, orders, 300)
	kubeconfig, _ := c.reader(t, mine)
	for name, args := range map[string][]string{
		"all namespaces": {"-A", "-n", mine},
		"two namespaces": {"-n", mine + "," + other},
	} {
		t.Run(name, func(t *testing.T) {
			d := c.dashboard(t, append(args, "--kubeconfig", kubeconfig)...)
			refused := other
			if args[0] == "-A" {
				refused = ""
			}
			d.until("the permitted and the other namespace", func() bool {
				return d.rows[mine+"/orders"].Depth != nil && d.namespaces[mine].Permitted && d.namespaces[refused].Why != ""
			})
			assert.False(t, d.namespaces[refused].Permitted)
			assert.Contains(t, d.namespaces[refused].Why, "you need the right to list pubsubchannels.pubsub.jawaracloud.io in ")
			assert.Contains(t, d.namespaces[refused].Why, "ask an administrator for it")
			assert.True(t, d.connection.Up, "what is not permitted is no broken connection")
			assert.Len(t, d.rows, 1)

			require.Empty(t, d.ask(protocol.Request{Kind: protocol.KindOpen, Key: mine + "/orders"}).Error)
			d.until("the words for what is not permitted", func() bool { return len(d.channel.Forbidden) == 3 })
			assert.Contains(t, d.channel.Forbidden["events"], "you need the right to list events in namespace")
			assert.Contains(t, d.channel.Forbidden["workers"], "you need the right to list pods in namespace")
			assert.Contains(t, d.channel.Forbidden["scaledObject"], "you need the right to get scaledobjects.keda.sh in namespace")
			assert.NotEmpty(t, d.ask(protocol.Request{Kind: protocol.KindOpen, Key: other + "/secret"}).Error)
			depth := int64(5000)
			what := d.ask(protocol.Request{Kind: protocol.KindWhatIf, Key: mine + "/orders", WhatIf: &protocol.WhatIfRequest{Depth: &depth}})
			require.Empty(t, what.Error)
			assert.Equal(t, "ScaleUp", what.Decision.Action)
		})
	}
}

// A user who is given the right to all namespaces while the page is open sees them, and none is followed by itself any more.
func TestADashboardOfWhoIsGivenMoreRights(t *testing.T) {
	c := sharedCluster(t)
	mine, other := c.namespace(t), c.namespace(t)
	c.channel(t, mine, "orders", true)
	c.channel(t, other, "bills", true)
	kubeconfig, name := c.reader(t, mine)
	d := c.dashboard(t, "-A", "-n", mine, "--kubeconfig", kubeconfig)
	d.until("the permitted and the other namespaces", func() bool {
		_, there := d.rows[mine+"/orders"]
		return there && d.namespaces[mine].Permitted && d.namespaces[""].Why != ""
	})
	assert.Contains(t, d.namespaces[""].Why, "of the others only "+mine+" is tried, unless it was known before, because the namespaces are not known")
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{v1.GroupVersion.Group}, Resources: []string{"pubsubchannels"}, Verbs: []string{"get", "list", "watch"}},
	}}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}},
	}
	for _, object := range []client.Object{role, binding} {
		require.NoError(t, c.Create(t.Context(), object))
		t.Cleanup(func() { _ = c.Delete(context.WithoutCancel(t.Context()), object) })
	}
	d.until("all namespaces", func() bool {
		_, bills := d.rows[other+"/bills"]
		return bills && d.namespaces[""].Permitted
	})
	assert.Contains(t, d.rows, mine+"/orders")
	assert.Equal(t, 1, d.told, "all at once, and none by itself")
}

// A channel is followed with its events and workers.
func TestADashboardFollows(t *testing.T) {
	c := sharedCluster(t)
	namespace := c.namespace(t)
	orders := c.channel(t, namespace, "orders", true)
	d := c.dashboard(t, "-n", namespace)
	key := namespace + "/orders"
	d.until("the channel", func() bool { return d.rows[key].Trouble == "NotObserved" })
	assert.Equal(t, 2, d.rows[key].Severity)
	c.decided(t, orders, 300)
	d.until("its status", func() bool { return d.rows[key].Depth != nil && *d.rows[key].Depth == 300 })
	assert.Zero(t, d.rows[key].Severity)
	require.Empty(t, d.ask(protocol.Request{Kind: protocol.KindOpen, Key: key}).Error)
	require.NoError(t, c.Create(t.Context(), &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: namespace, Name: "scaled"},
		InvolvedObject: corev1.ObjectReference{Kind: "PubSubChannel", Namespace: namespace, Name: "orders", UID: orders.UID, APIVersion: v1.GroupVersion.String()},
		Type:           "Normal", Reason: "ScaledUp", Message: "3 → 4 workers", LastTimestamp: metav1.Now(), Count: 2,
	}))
	require.NoError(t, c.Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "orders-1", Labels: map[string]string{"pubsubchannel": "orders"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "worker", Image: "registry.example.com/worker:1"}}},
	}))
	d.until("its event and its worker", func() bool { return len(d.channel.Events) == 1 && len(d.channel.Workers) == 1 })
	assert.Equal(t, "ScaledUp", d.channel.Events[0].Reason)
	assert.EqualValues(t, 2, d.channel.Events[0].Count)
	assert.Equal(t, "orders-1", d.channel.Workers[0].Name)
	assert.Equal(t, "Starting", d.channel.Workers[0].State)
	require.NoError(t, c.Delete(t.Context(), orders))
	d.until("that it is gone", func() bool { _, there := d.rows[key]; return !there && d.channel.Gone })
}

// door is a way to the API server that can be shut.
type door struct {
	t       *testing.T
	to      string
	address string

	mu       sync.Mutex
	listener net.Listener // nil: it is shut
	open     []net.Conn
}

func newDoor(t *testing.T, to string) *door {
	t.Helper()
	d := &door{t: t, to: to, address: "127.0.0.1:0"}
	d.unlock()
	t.Cleanup(d.shut)
	return d
}

func (d *door) unlock() {
	d.t.Helper()
	listener, err := net.Listen("tcp", d.address)
	require.NoError(d.t, err)
	d.mu.Lock()
	d.address, d.listener = listener.Addr().String(), listener
	d.mu.Unlock()
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", d.to)
			if err != nil {
				_ = in.Close()
				continue
			}
			d.mu.Lock()
			d.open = append(d.open, in, out)
			d.mu.Unlock()
			go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
			go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
		}
	}()
}

// shut cuts what goes through, and refuses what comes.
func (d *door) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.listener != nil {
		_ = d.listener.Close()
	}
	for _, conn := range d.open {
		_ = conn.Close()
	}
	d.listener, d.open = nil, nil
}

// The API server goes away and comes back: the page is told, its rows stay, and what happened
// meanwhile is made up for.
func TestADashboardOutlivesTheAPIServer(t *testing.T) {
	c := sharedCluster(t)
	namespace := c.namespace(t)
	orders, bills := c.channel(t, namespace, "orders", true), c.channel(t, namespace, "bills", true)
	c.decided(t, orders, 300)
	config, err := clientcmd.LoadFromFile(c.admin)
	require.NoError(t, err)
	var way *door
	for _, each := range config.Clusters {
		way = newDoor(t, strings.TrimPrefix(each.Server, "https://"))
		each.Server = "https://" + way.address
	}
	file := t.TempDir() + "/kubeconfig"
	require.NoError(t, clientcmd.WriteToFile(*config, file))
	d := c.dashboard(t, "-n", namespace, "--kubeconfig", file)
	d.until("the channels", func() bool { return len(d.rows) == 2 })
	require.Empty(t, d.ask(protocol.Request{Kind: protocol.KindOpen, Key: namespace + "/orders"}).Error)

	way.shut()
	d.until("that the API server is away", func() bool { return !d.connection.Up })
	assert.Contains(t, d.connection.Problem, "to list pubsubchannels.pubsub.jawaracloud.io in namespace")
	assert.False(t, d.connection.Since.IsZero())
	assert.Len(t, d.rows, 2, "what was known stays")
	depth := int64(5000)
	answer := d.ask(protocol.Request{Kind: protocol.KindWhatIf, Key: namespace + "/orders", WhatIf: &protocol.WhatIfRequest{Depth: &depth}})
	require.Empty(t, answer.Error, "it needs no API server")
	assert.NotNil(t, answer.Decision.Unheard, "and says that what it knows is old")
	c.decided(t, orders, 777)
	require.NoError(t, c.Delete(t.Context(), bills))
	c.channel(t, namespace, "mails", true)

	way.unlock()
	d.until("that it is back", func() bool { return d.connection.Up })
	assert.Empty(t, d.connection.Problem)
	d.until("what happened meanwhile", func() bool {
		_, bills := d.rows[namespace+"/bills"]
		_, mails := d.rows[namespace+"/mails"]
		return !bills && mails && *d.rows[namespace+"/orders"].Depth == 777
	})
	assert.Nil(t, d.ask(protocol.Request{Kind: protocol.KindWhatIf, Key: namespace + "/orders"}).Decision.Unheard)
	c.decided(t, orders, 778)
	d.until("that it is watched again", func() bool { return *d.rows[namespace+"/orders"].Depth == 778 })
}
