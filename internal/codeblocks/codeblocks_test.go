package codeblocks

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// page is a document with a block of each kind; ”' stands for the fence.
const page = `# Page

Text with ´kubectl get psc´ and ´more´.

<!-- file: orders.yaml -->
'''yaml
kind: PubSubChannel
  indented: yes
'''

## Run it

'''sh
one
two # 'it'
'''

'''text
NAME   AGE
a      12m
'''

'''text
a drawing
'''

1. In a list:

   <!-- Ctrl-C at: Running +[0-9] -->
   '''sh
   three
     four
   '''

<!-- a comment in the text -->

'''console
$ five --with \
  two lines
printed
$ six
'''

<!-- one by one, Ctrl-C ends: watch -->
'''sh
seven   # why
# only a comment
watch
'''

<!-- not run: it takes ´forever´ -->
'''sh
eight
'''

'''
ACL SETUSER
'''
`

func markdown(text string) string { return strings.NewReplacer("'''", "```", "´", "`").Replace(text) }

func TestBlocks(t *testing.T) {
	blocks, err := Parse(markdown(page))
	require.NoError(t, err)
	assert.Equal(t, []Block{
		{Line: 6, Section: "Page", Language: "yaml", Text: "kind: PubSubChannel\n  indented: yes\n", Mark: File, About: "orders.yaml"},
		{Line: 13, Section: "Run it", Language: "sh", Text: "one\ntwo # 'it'\n", Shows: "NAME   AGE\na      12m\n"},
		{Line: 23, Section: "Run it", Language: "text", Text: "a drawing\n"},
		{Line: 30, Section: "Run it", Language: "sh", Text: "three\n  four\n", Mark: CtrlCAt, About: "Running +[0-9]"},
		{Line: 37, Section: "Run it", Language: "console", Text: "$ five --with \\\n  two lines\nprinted\n$ six\n"},
		{Line: 45, Section: "Run it", Language: "sh", Text: "seven   # why\n# only a comment\nwatch\n", Mark: OneByOne, About: "watch"},
		{Line: 52, Section: "Run it", Language: "sh", Text: "eight\n", Mark: NotRun, About: "it takes `forever`"},
		{Line: 56, Section: "Run it", Text: "ACL SETUSER\n"},
	}, blocks)
	var commands []Command
	for _, block := range blocks {
		commands = append(commands, block.Commands()...)
	}
	assert.Equal(t, []Command{
		{Text: "one\ntwo # 'it'\n", Shows: "NAME   AGE\na      12m\n"}, {Text: "three\n  four\n"},
		{Text: "five --with \\\n  two lines\n", Shows: "printed\n"}, {Text: "six\n"},
		{Text: "seven   # why\n"}, {Text: "watch\n"}, {Text: "eight\n"},
	}, commands)
	assert.Equal(t, []string{"kubectl get psc", "more", "forever"}, Spans(markdown(page)))
}

func TestWrongMarksAreErrors(t *testing.T) {
	for wrong, because := range map[string]string{
		"<!-- not runn: why -->\n'''sh\na\n'''":      `line 2: a comment above a block begins with "not runn"`,
		"<!-- not run -->\n'''sh\na\n'''":            `line 2: nothing follows "not run"`,
		"<!-- a remark -->\n'''sh\na\n'''":           `line 2: a comment above a block begins with "a remark"`,
		"<!-- not run: -->\n'''sh\na\n'''":           `line 2: nothing follows "not run"`,
		"<!-- Ctrl-C at: a( -->\n'''sh\na\n'''":      "line 2: Ctrl-C at: error parsing regexp",
		"<!-- beside: [ -->\n'''sh\na\n'''":          "line 2: beside: error parsing regexp",
		"text\n'''sh\na":                             "line 2: the block does not end",
		"<!-- one by one, Ctrl-C: a -->\n'''sh\n'''": "is none of",
	} {
		_, err := Parse(markdown(wrong))
		assert.ErrorContains(t, err, because, wrong)
	}
}

func TestMissing(t *testing.T) {
	const printed = "Warning: x\nNAME     PHASE     REPLICAS   AGE\norders   Running   10         2m5s\npod/controller-5d9c-x8k2p deleted (v1.36.3)\n"
	for shown, missing := range map[string][]string{
		"":                         nil,
		"NAME  PHASE REPLICAS AGE": nil,
		"NAME     PHASE     REPLICAS   AGE\n\norders   Running   4          12m\n": nil,
		"...\npod/controller-… deleted (v1.35.0)\n":                                nil,
		"NAME PHASE AGE": {"NAME PHASE AGE"},
		"invoices Running 4 12m\norders Running 4 12m":  {"invoices Running 4 12m"},
		"orders Running 4 12m\nNAME PHASE REPLICAS AGE": {"NAME PHASE REPLICAS AGE"}, // in this order
		"orders Pending 4 12m\n":                        {"orders Pending 4 12m"},
		"orders Running 4":                              {"orders Running 4"},
		"pod/controller-1-x deleted (v1.36.3)":          {"pod/controller-1-x deleted (v1.36.3)"},
	} {
		assert.Equal(t, missing, Missing(shown, printed), shown)
	}
}

func TestColumns(t *testing.T) {
	assert.Equal(t, "NAME  LAST SEEN  IN FLIGHT\n", Columns("shop/orders: scale up\nNAME  LAST SEEN  IN FLIGHT\nok  KEDA  x\na  b  c\nQ\n"))
}
