//go:build integration

package translator

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// Request is a line of the API server's audit log (k8s.io/apiserver, audit.k8s.io/v1).
type request struct {
	Stage     string `json:"stage"`
	Verb      string `json:"verb"`
	URI       string `json:"requestURI"`
	UserAgent string `json:"userAgent"`
	Object    *struct {
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
		APIGroup    string `json:"apiGroup"`
	} `json:"objectRef"` // nil for what is no resource
	Response struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
}

func (r request) String() string {
	return fmt.Sprintf("%s %s: %d", r.Verb, r.URI, r.Response.Code)
}

// writes reports whether the request was to change something.
func (r request) writes() bool {
	switch r.Verb {
	case "get", "list", "watch":
		return false
	default:
		return r.Object != nil
	}
}

// resource is the request's as a role names it, with its subresource.
func (r request) resource() string {
	if r.Object.Subresource != "" {
		return r.Object.Resource + "/" + r.Object.Subresource
	}
	return r.Object.Resource
}

// audited reads what the controller has asked for since an earlier reading, and how far the
// log goes. A watch is there when it begins, and once more when it ends.
func (p *plane) audited(t *testing.T, from int64) (requests []request, to int64) {
	t.Helper()
	file, err := os.Open(p.auditLog())
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	_, err = file.Seek(from, io.SeekStart)
	require.NoError(t, err)
	lines := bufio.NewReader(file)
	for to = from; ; {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return requests, to // a line without its end is for the next reading
		}
		require.NoError(t, err)
		to += int64(len(line))
		var r request
		require.NoError(t, json.Unmarshal(line, &r))
		requests = append(requests, r)
	}
}

// audit is where the audit log ends now.
func (p *plane) audit(t *testing.T) int64 {
	t.Helper()
	info, err := os.Stat(p.auditLog())
	require.NoError(t, err)
	return info.Size()
}

// writesOf are the writes among requests.
func writesOf(requests []request) []string {
	var writes []string
	for _, r := range requests {
		if r.writes() {
			writes = append(writes, r.String())
		}
	}
	return writes
}

// forbidden are the requests that were refused for want of a permission.
func forbidden(requests []request) []string {
	var refused []string
	for _, r := range requests {
		if r.Response.Code == http.StatusForbidden {
			refused = append(refused, r.String())
		}
	}
	return refused
}
