package demo

import (
	"slices"
	"testing"
)

func TestBar(t *testing.T) {
	for name, test := range map[string]struct {
		value, limit int64
		width        int
		want         string
	}{
		"nothing":             {0, 100, 4, ""},
		"little shows":        {1, 1000, 4, "▏"},
		"half":                {50, 100, 4, "██"},
		"an eighth more":      {9, 32, 4, "█▏"},
		"full":                {100, 100, 4, "████"},
		"more than the limit": {101, 100, 4, "████"},
		"less than nothing":   {-1, 100, 4, ""},
		"no limit":            {1, 0, 4, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := bar(test.value, test.limit, test.width); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestReplicaBar(t *testing.T) {
	for name, test := range map[string]struct {
		ready, wanted int32
		want          string
	}{
		"at rest":      {1, 1, "██░░░░░░"},
		"scaling up":   {1, 3, "██▒▒▒▒░░"},
		"scaling down": {3, 1, "██████░░"},
		"beyond":       {5, 5, "██████████"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := replicaBar(test.ready, test.wanted, 4, 2); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestSparkline(t *testing.T) {
	for name, test := range map[string]struct {
		values []int64
		limit  int64
		width  int
		want   string
	}{
		"none":                   {nil, 7, 8, ""},
		"every level":            {[]int64{0, 1, 2, 3, 4, 5, 6, 7}, 7, 8, "▁▂▃▄▅▆▇█"},
		"little is not nothing":  {[]int64{0, 1}, 1000, 8, "▁▂"},
		"beyond the limit":       {[]int64{9}, 7, 8, "█"},
		"columns show the peaks": {[]int64{0, 7, 0, 0, 3}, 7, 3, "█▁▄"},
		"limit of zero":          {[]int64{0}, 0, 8, "▁"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := sparkline(test.values, test.limit, test.width); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestWrap(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"nothing":                {"", nil},
		"fits":                   {"1 → 4 × 2", []string{"1 → 4 × 2"}},
		"breaks between words":   {"queue depth 312", []string{"queue", "depth 312"}},
		"long words stand alone": {"a incomprehensible b", []string{"a", "incomprehensible", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := wrap(test.text, 9); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
