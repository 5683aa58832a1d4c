package ownership

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
)

func TestDifferences(t *testing.T) {
	for name, test := range map[string]struct {
		desired, current string
		want             []string
	}{
		"the same":                   {`{a: 1, b: [x, y]}`, `{a: 1, b: [x, y]}`, nil},
		"more is there":              {`{a: 1, b: [x]}`, `{a: 1, b: [x, y], c: 2}`, nil},
		"a field is not there":       {`{a: {b: 1, c: 2}}`, `{a: {b: 1}}`, []string{"a.c"}},
		"an object is not there":     {`{a: {b: {c: 1}}}`, `{a: {}}`, []string{"a.b"}},
		"another value":              {`{a: 1}`, `{a: 2}`, []string{"a"}},
		"a list is shorter":          {`{a: [x, y]}`, `{a: [x]}`, []string{"a"}},
		"within an item":             {`{a: [{name: x, b: {c: 1}}]}`, `{a: [{name: other}, {name: x, b: {}}]}`, []string{"a[0].b.c"}},
		"an item without a name":     {`{a: [{b: 1}]}`, `{a: [{b: 2}]}`, []string{"a[0].b"}},
		"of several, in their order": {`{b: 1, a: 1}`, `{}`, []string{"a", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, Differences(channeltest.YAML(t, test.desired), channeltest.YAML(t, test.current), ""))
		})
	}
}
