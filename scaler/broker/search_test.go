package broker

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSearchDomains(t *testing.T) {
	tests := map[string]struct {
		text string
		want []string
	}{
		"a pod":       {"search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n", []string{"shop.svc.cluster.local", "svc.cluster.local", "cluster.local"}},
		"a domain":    {"domain example.com\n", []string{"example.com"}},
		"the last":    {"search a\nsearch\tb c", []string{"b", "c"}},
		"a comment":   {"# search a\n; search b\n", nil},
		"none at all": {"", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.want, searchDomains(test.text)) })
	}
}
