package doctor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestClocks(t *testing.T) {
	for name, test := range map[string]struct {
		skew    time.Duration
		unknown bool
		want    Severity
		words   string
	}{
		"the same":           {want: OK, words: "this machine's and the API server's are the same, to some seconds"},
		"a little ahead":     {skew: -12400 * time.Millisecond, want: OK, words: "this machine's clock is 12s ahead of the API server's"},
		"ahead":              {skew: -10 * time.Minute, want: Warning, words: "this machine's clock is 10m0s ahead of the API server's: kubectl pubsub counts with the API server's"},
		"behind":             {skew: 31 * time.Second, want: Warning, words: "this machine's clock is 31s behind the API server's: "},
		"no answer has told": {unknown: true, want: Unknown, words: "have no Date"},
	} {
		t.Run(name, func(t *testing.T) {
			found := clocks(test.skew, !test.unknown)
			assert.Equal(t, test.want, found.Severity)
			assert.Contains(t, found.Message, test.words)
			assert.Equal(t, test.want == OK, found.Remedy == "")
		})
	}
}
