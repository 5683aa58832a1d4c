//go:build e2e

package suite

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/codeblocks"
)

const (
	shop           = "shop" // the namespace of the documents' examples
	quickstart     = "docs/quickstart.md"
	chartDocument  = "charts/pubsub-operator/README.md"
	remove         = "6. Remove it"
	documentedKEDA = "keda" // its namespace
)

// onTheWay are the documents whose commands are run where the quick start has a channel that scales, each with what a reader has
// who comes to it. Those that change the operator or the channel are last, one after the other; before them, the others share a time.
var onTheWay = []struct {
	file    string
	given   func(n *newcomer)
	changes bool
}{
	{file: "README.md"},
	{file: "docs/troubleshooting.md"},
	{file: "docs/dashboard.md"},
	{file: "docs/publisher.md"},
	{file: "docs/runbooks.md"},
	{file: "docs/simulation.md"},
	{file: "docs/migrating.md", given: (*newcomer).scaledByKEDA},
	{file: "docs/channels.md", changes: true},
	{file: "docs/upgrading.md", changes: true},
	{file: chartDocument, changes: true},
	{file: "docs/kubectl-pubsub.md", given: (*newcomer).deadLetter, changes: true},
}

// onlyRead are the documents whose commands in the text, not in blocks, are run as well if they only read.
var onlyRead = []string{
	"README.md", quickstart, "docs/faq.md", "docs/troubleshooting.md", "docs/tuning.md", "docs/channels.md", "docs/metrics.md",
	"docs/upgrading.md", "docs/runbooks.md", "docs/kubectl-pubsub.md", "docs/queues.md", chartDocument,
}

// Somebody who has a cluster with KEDA, kubectl and helm does what the documents say, as they say it: the quick start from the
// installation to a fleet that has grown, what the other documents show, the removal, and the README's installation. What is
// printed has the form that the documents show. It tells how long the quick start took.
func TestNewcomersPath(t *testing.T) {
	turn := beside(t, preparing)
	if env.kedaNamespace != documentedKEDA {
		t.Skipf("the documents are for KEDA in namespace %s; here it is in %s", documentedKEDA, env.kedaNamespace)
	}
	n := arrive(t)
	turn.disturb(removes, operator, scalers)
	t.Cleanup(func() { // the README's installation is as good as any, but whatever happens, the others find an operator
		if t.Failed() {
			env.installation.leave()
		}
	})
	require.True(t, n.follow(chartDocument, only("Uninstalling")), "the removal by the chart's README")
	n.forgetLeader()
	require.True(t, n.follow(quickstart, except(remove)), "the quick start")
	n.tellTimes()
	n.useNamespace(shop)
	n.copy("orders.yaml", "channel.yaml") // docs/simulation.md's, and in the text; once, because they are run at the same time
	t.Run("on the way", func(t *testing.T) {
		for _, next := range onTheWay {
			if !next.changes {
				t.Run(next.file, func(t *testing.T) {
					t.Parallel()
					n.in(t).visit(next.file, next.given)
				})
			}
		}
		t.Run("commands in the text", func(t *testing.T) {
			t.Parallel()
			n.in(t).readEverything()
		})
	})
	for _, next := range onTheWay {
		if next.changes {
			t.Run(next.file, func(t *testing.T) { n.in(t).visit(next.file, next.given) })
		}
	}
	require.True(t, n.follow(quickstart, only(remove)), "the removal")
	n.forgetLeader()
	require.True(t, n.follow("README.md", only("Install")), "the installation of the README")
}

// newcomer is at a terminal, in a folder with what the documents name.
type newcomer struct {
	shell
	stands []string // what the documents say, and what stands for it here, in turns
	done   []deed
}

// deed is a block that was run.
type deed struct {
	file  string
	block codeblocks.Block
	took  time.Duration
}

// arrive prepares the folder, and sees to it that all is as before at the end.
func arrive(t *testing.T) *newcomer {
	t.Helper()
	out, err := run(t.Context(), "kubectl", "get", "namespace", shop, "--ignore-not-found", "--output", "name")
	require.NoError(t, err)
	require.Empty(t, out, "the documents make the namespace %s, which is there already: delete it first", shop)
	for _, program := range []string{"bash", "curl", "jq"} {
		_, err := exec.LookPath(program)
		require.NoError(t, err, "the documents' commands need %s: install it", program)
	}
	s := &space{t: t, name: shop, started: time.Now()}
	n := &newcomer{shell: shell{t: t, folder: t.TempDir()}}
	n.prepareFolder()
	t.Cleanup(func() { // whatever happens, nobody finds the namespace
		ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
		defer cancel()
		if t.Failed() {
			s.dump(ctx)
		}
		_, err := run(ctx, "kubectl", "delete", "namespace", shop, "--ignore-not-found", "--timeout=2m")
		assert.NoError(t, err)
	})
	plugin := s.buildPlugin()
	n.environ = append(os.Environ(), "PATH="+filepath.Dir(plugin)+string(os.PathListSeparator)+os.Getenv("PATH"))
	return n
}

// in is the same newcomer in a test of its own.
func (n *newcomer) in(t *testing.T) *newcomer {
	here := *n
	here.t, here.stands, here.done = t, slices.Clip(n.stands), slices.Clip(n.done)
	return &here
}

// visit follows a document with what its reader has.
func (n *newcomer) visit(file string, given func(*newcomer)) {
	n.t.Helper()
	if given != nil {
		given(n)
	}
	n.follow(file, except("Install", "Uninstalling"))
}

// forgetLeader removes what a newcomer's cluster has not: the Lease of the operator of just before, which lost the right to
// give it up together with its role. The next one would wait for its 15 s.
func (n *newcomer) forgetLeader() {
	n.t.Helper()
	_, err := run(n.t.Context(), "kubectl", "delete", "lease", "-n", systemNamespace, release+"-controller", "--ignore-not-found")
	require.NoError(n.t, err)
}

// prepareFolder copies what the documents' commands name, with the images that the cluster has in place of the published ones.
func (n *newcomer) prepareFolder() {
	n.t.Helper()
	for _, part := range []string{"charts", "deploy"} {
		require.NoError(n.t, os.CopyFS(filepath.Join(n.folder, part), os.DirFS("../../"+part)))
	}
	version := n.replace("charts/pubsub-operator/Chart.yaml", `(?m)^appVersion: "(.*)"$`, fmt.Sprintf("appVersion: %q", env.imageTag))
	const server = "deploy/try-out/dragonfly.yaml"
	n.replace(server, `image: (docker\.dragonflydb\.io/.*)`, "image: "+env.redisImage)
	n.replace(server, `args: (\[--dir=.*\])`, `args: [--protected-mode, "no"]`)
	redis, log := freePort(n.t), freePort(n.t) // those of the documents may be in use on this machine
	n.stands = []string{
		"jawaracloud/subscriber:" + version, "jawaracloud/subscriber:" + env.imageTag,
		"jawaracloud/publisher:" + version, "jawaracloud/publisher:" + env.imageTag,
		"svc/dragonfly 6379", "svc/dragonfly " + redis + ":6379", "127.0.0.1:6379", "127.0.0.1:" + redis,
		"pubsub-operator-scaler 6060", "pubsub-operator-scaler " + log + ":6060", "localhost:6060", "localhost:" + log,
	}
}

// replace replaces what an expression finds in a file of the folder, exactly once, and returns what its group found.
func (n *newcomer) replace(file, expression, by string) string {
	n.t.Helper()
	text, err := os.ReadFile(filepath.Join(n.folder, file))
	require.NoError(n.t, err)
	found := regexp.MustCompile(expression).FindAllSubmatchIndex(text, -1)
	require.Len(n.t, found, 1, "%s in %s", expression, file)
	at := found[0]
	replaced := slices.Concat(text[:at[0]], []byte(by), text[at[1]:])
	require.NoError(n.t, os.WriteFile(filepath.Join(n.folder, file), replaced, 0o600))
	return string(text[at[2]:at[3]])
}

func (n *newcomer) here(text string) string { return strings.NewReplacer(n.stands...).Replace(text) }

func only(sections ...string) func(codeblocks.Block) bool {
	return func(block codeblocks.Block) bool { return slices.Contains(sections, block.Section) }
}

func except(sections ...string) func(codeblocks.Block) bool {
	return func(block codeblocks.Block) bool { return !slices.Contains(sections, block.Section) }
}

// follow does what a document's blocks say, and tells whether all went well. It goes on after a fault, unless it is the quick start's,
// whose steps need one another.
func (n *newcomer) follow(file string, wanted func(codeblocks.Block) bool) bool {
	n.t.Helper()
	text, err := os.ReadFile("../../" + file)
	require.NoError(n.t, err)
	blocks, err := codeblocks.Parse(string(text))
	require.NoError(n.t, err)
	well, ran := true, 0
	defer n.endAll()
	for _, block := range blocks {
		if block.Mark == codeblocks.File {
			require.NoError(n.t, os.WriteFile(filepath.Join(n.folder, block.About), []byte(n.here(block.Text)), 0o600))
		}
	}
	for _, block := range blocks {
		if !wanted(block) || block.Mark == codeblocks.NotRun || len(block.Commands()) == 0 {
			continue
		}
		ran++
		start := time.Now()
		err := n.do(block, file == quickstart)
		took := time.Since(start)
		n.done = append(n.done, deed{file: file, block: block, took: took})
		n.t.Logf("%s, line %d: %.1f s: %s", file, block.Line, took.Seconds(), firstLine(block.Text))
		if assert.NoError(n.t, err, "%s, line %d", file, block.Line) {
			continue
		}
		if well = false; file == quickstart {
			break
		}
	}
	assert.Positive(n.t, ran, "%s has no commands there", file)
	return well
}

// do runs a block as its mark says, and compares what it prints with what the document shows: the whole of it, or only the
// headings of tables, where the document is of another situation.
func (n *newcomer) do(block codeblocks.Block, whole bool) error {
	for _, command := range block.Commands() {
		until := ""
		switch {
		case block.Mark == codeblocks.CtrlCAt, block.Mark == codeblocks.Beside:
			until = block.About
		case block.Mark == codeblocks.OneByOne && regexp.MustCompile(block.About).MatchString(command.Text):
			until = "."
		}
		printed, err := n.enter(n.here(command.Text), until, block.Mark == codeblocks.Beside)
		if err != nil {
			return err
		}
		shown := command.Shows
		if !whole {
			shown = codeblocks.Columns(shown)
		}
		if missing := codeblocks.Missing(shown, printed); len(missing) > 0 {
			return fmt.Errorf("%s\ndid not print, in this order,\n%s\nbut\n%s", command.Text, strings.Join(missing, "\n"), printed)
		}
	}
	return nil
}

// tellTimes tells how long the quick start took: from the command that installs the operator to the one that waits for the fleet.
func (n *newcomer) tellTimes() {
	n.t.Helper()
	var whole time.Duration
	for _, did := range n.done {
		if did.file != quickstart {
			continue
		}
		whole += did.took
		if did.block.Mark == codeblocks.CtrlCAt {
			n.t.Logf("e2e: a newcomer's path: %.0f s from helm install to a scaled channel, with the commands of %s alone", whole.Seconds(), quickstart)
			return
		}
	}
	n.t.Errorf("%s has no command that waits for the fleet", quickstart)
}

// useNamespace is what most readers have done: commands without a namespace are about this one.
func (n *newcomer) useNamespace(namespace string) {
	n.t.Helper()
	config, err := run(n.t.Context(), "kubectl", "config", "view", "--raw", "--flatten")
	require.NoError(n.t, err)
	file := filepath.Join(n.t.TempDir(), "kubeconfig")
	require.NoError(n.t, os.WriteFile(file, []byte(config), 0o600))
	_, err = run(n.t.Context(), "kubectl", "--kubeconfig", file, "config", "set-context", "--current", "--namespace", namespace)
	require.NoError(n.t, err)
	n.environ = append(n.environ, "KUBECONFIG="+file)
}

func (n *newcomer) copy(from, to string) {
	n.t.Helper()
	text, err := os.ReadFile(filepath.Join(n.folder, from))
	require.NoError(n.t, err)
	require.NoError(n.t, os.WriteFile(filepath.Join(n.folder, to), text, 0o600))
}

// must is what is given: commands that no document shows.
func (n *newcomer) must(script string) string {
	n.t.Helper()
	printed, err := n.enter(n.here(script), "", false)
	require.NoError(n.t, err)
	return printed
}

// scaledByKEDA gives the Deployment of docs/migrating.md, and its ScaledObject of before.
func (n *newcomer) scaledByKEDA() {
	n.t.Helper()
	text, err := os.ReadFile("../../docs/migrating.md")
	require.NoError(n.t, err)
	blocks, err := codeblocks.Parse(string(text))
	require.NoError(n.t, err)
	at := slices.IndexFunc(blocks, func(block codeblocks.Block) bool { return block.About == "mailer.yaml" })
	require.GreaterOrEqual(n.t, at, 0, "docs/migrating.md has no mailer.yaml")
	require.NoError(n.t, os.WriteFile(filepath.Join(n.folder, "mailer.yaml"), []byte(blocks[at].Text), 0o600))
	n.must("kubectl create deployment mailer -n shop --image=" + env.redisImage + "\nkubectl apply -n shop -f mailer.yaml")
}

// deadLetter gives the channel a handler that refuses, the workers' own server for health, and waits for a dead letter. Its ID
// stands for the one in docs/kubectl-pubsub.md.
func (n *newcomer) deadLetter() {
	n.t.Helper()
	const redis = "kubectl exec -n shop deployment/dragonfly -- redis-cli "
	n.must(`kubectl patch psc orders -n shop --type=merge -p '{"spec":{"env":[{"name":"HANDLER_URL","value":"http://127.0.0.1:9091/nothing"}]}}'`)
	s := &space{t: n.t, name: shop, started: time.Now()}
	s.until(env.settling(), "a message is refused", func(context.Context) error {
		// Workers of before only log it.
		n.must(redis + "LPUSH orders '{\"order\": 17}'")
		id := strings.TrimSpace(n.must(redis + "ZREVRANGE '{orders}:dead-letters' 0 0"))
		if id == "" {
			return fmt.Errorf("there is no dead letter yet")
		}
		n.stands = append(n.stands, "5f0c9a1be2d40713-4", id)
		return nil
	})
}

var (
	reads = regexp.MustCompile(`^kubectl (?:(?:-n|--namespace) \S+ )?(?:(?:get|describe|logs|events|explain) \S|pubsub (?:explain|status|version|doctor|simulate)(?: |$))`)
	// What stands for names that are different for each reader.
	names = strings.NewReplacer(" NAME", " orders", "-NAME", "-orders", " NS", " "+shop, " OPERATOR", " "+systemNamespace)
	// Commands that the text only names, without what they are about.
	named = []string{"kubectl pubsub explain", "kubectl pubsub explain --live", "kubectl pubsub simulate"}
)

// readEverything runs each command in the text of the documents that only reads, once.
func (n *newcomer) readEverything() {
	seen := slices.Clone(named)
	for _, file := range onlyRead {
		text, err := os.ReadFile("../../" + file)
		require.NoError(n.t, err)
		for _, command := range codeblocks.Spans(string(text)) {
			if !reads.MatchString(command) || slices.Contains(seen, command) {
				continue
			}
			seen = append(seen, command)
			_, err := n.enter(n.here(names.Replace(command)), "", false)
			assert.NoError(n.t, err, "%s: %s", file, command)
		}
	}
	assert.Greater(n.t, len(seen), 25, "the commands were not found")
}
