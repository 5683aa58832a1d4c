package serve

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/record"
)

func guarded(t *testing.T) (server *Server, token string) {
	t.Helper()
	server = New(Options{
		Fleet: record.New(time.Now()), Now: time.Now,
		Files: fstest.MapFS{"index.html": {Data: []byte("the page")}, "page.js": {Data: []byte("script")}},
	}, 4711)
	address, err := url.Parse(server.URL())
	require.NoError(t, err)
	return server, address.Query().Get("token")
}

func TestRefusals(t *testing.T) {
	server, token := guarded(t)
	cookie := "kubectl_pubsub_4711=" + token
	for name, test := range map[string]struct {
		method, target, host, cookie, origin string
		code                                 int
		words                                string
	}{
		"the page":                        {target: "/", cookie: cookie, code: 200, words: "the page"},
		"a script":                        {target: "/page.js", cookie: cookie, code: 200, words: "script"},
		"by localhost":                    {target: "/", host: "localhost:4711", cookie: cookie, code: 200},
		"by localhost in capitals":        {target: "/", host: "LOCALHOST:4711", cookie: cookie, code: 200},
		"by IPv6":                         {target: "/", host: "[::1]:4711", cookie: cookie, code: 200},
		"a script by the token":           {target: "/page.js?token=" + token, code: 200},
		"a file that there is not":        {target: "/none.js", cookie: cookie, code: 404},
		"no token":                        {target: "/", code: 403, words: "a token is missing"},
		"no token for a script":           {target: "/page.js", code: 403, words: "a token is missing"},
		"no token for the WebSocket":      {target: "/ws", origin: "http://127.0.0.1:4711", code: 403, words: "a token is missing"},
		"a wrong token":                   {target: "/?token=" + strings.Repeat("A", len(token)), code: 403, words: "not the dashboard's"},
		"a wrong token beside the cookie": {target: "/?token=x", cookie: cookie, code: 403},
		"a wrong cookie":                  {target: "/", cookie: cookie + "x", code: 403},
		"an empty cookie":                 {target: "/", cookie: "kubectl_pubsub_4711=", code: 403},
		"the cookie of another port":      {target: "/", cookie: "kubectl_pubsub_4712=" + token, code: 403},
		"another host (DNS rebinding)":    {target: "/", host: "evil.example:4711", cookie: cookie, code: 403, words: "this host"},
		"another host with the token":     {target: "/?token=" + token, host: "evil.example:4711", code: 403, words: "this host"},
		"another port":                    {target: "/", host: "127.0.0.1:80", cookie: cookie, code: 403},
		"no port":                         {target: "/", host: "127.0.0.1", cookie: cookie, code: 403},
		"a longer name":                   {target: "/", host: "127.0.0.1:4711.evil.example", cookie: cookie, code: 403},
		"another method":                  {method: http.MethodPost, target: "/", cookie: cookie, code: 405, words: "use GET"},
		"a preflight":                     {method: http.MethodOptions, target: "/ws", cookie: cookie, code: 405},
		"another origin":                  {target: "/ws", cookie: cookie, origin: "http://evil.example", code: 403, words: "own page"},
		"another port's origin":           {target: "/ws", cookie: cookie, origin: "http://127.0.0.1:8000", code: 403, words: "own page"},
		"another scheme":                  {target: "/ws", cookie: cookie, origin: "https://127.0.0.1:4711", code: 403, words: "own page"},
		"a page without an origin":        {target: "/ws", cookie: cookie, origin: "null", code: 403, words: "own page"},
		"no origin":                       {target: "/ws", cookie: cookie, code: 403, words: "own page"},
		"no WebSocket":                    {target: "/ws", cookie: cookie, origin: "http://127.0.0.1:4711", code: 426},
	} {
		t.Run(name, func(t *testing.T) {
			method, host := test.method, test.host
			if method == "" {
				method = http.MethodGet
			}
			if host == "" {
				host = "127.0.0.1:4711"
			}
			r := httptest.NewRequest(method, test.target, nil)
			r.Host = host
			r.Header.Set("Cookie", test.cookie)
			if test.origin != "" {
				r.Header.Set("Origin", test.origin)
			}
			w := httptest.NewRecorder()
			server.ServeHTTP(w, r)
			assert.Equal(t, test.code, w.Code, w.Body)
			assert.Contains(t, w.Body.String(), test.words)
			assert.NotContains(t, w.Body.String(), token)
			assert.Equal(t, "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
				w.Header().Get("Content-Security-Policy"))
			assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
			assert.Equal(t, "no-referrer", w.Header().Get("Referrer-Policy"))
			if test.code != http.StatusNotFound { // net/http takes it away from that
				assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			}
			assert.Empty(t, w.Header().Get("Access-Control-Allow-Origin"))
		})
	}
}

// The token of the URL becomes a cookie that no script sees, and that no other site's page sends.
func TestTheTokenBecomesACookie(t *testing.T) {
	server, token := guarded(t)
	assert.Len(t, token, 26, "as random as 128 bits")
	r := httptest.NewRequest(http.MethodGet, "/?token="+token, nil)
	r.Host = "127.0.0.1:4711"
	w := httptest.NewRecorder()
	server.ServeHTTP(w, r)
	assert.Equal(t, http.StatusSeeOther, w.Code)
	assert.Equal(t, "/", w.Header().Get("Location"))
	cookies := w.Result().Cookies()
	require.Len(t, cookies, 1)
	c := cookies[0]
	assert.Equal(t, "kubectl_pubsub_4711", c.Name)
	assert.Equal(t, token, c.Value)
	assert.True(t, c.HttpOnly)
	assert.Equal(t, http.SameSiteStrictMode, c.SameSite)
	assert.Empty(t, c.Domain)
	other, another := guarded(t)
	assert.NotEqual(t, token, another)
	r = httptest.NewRequest(http.MethodGet, "/", nil)
	r.Host = "127.0.0.1:4711"
	r.AddCookie(c)
	w = httptest.NewRecorder()
	other.ServeHTTP(w, r)
	assert.Equal(t, http.StatusForbidden, w.Code, "the next run has another token")
}

// Browsers leave out the port of http, in the header Host as in Origin.
func TestThePortOfHTTP(t *testing.T) {
	g := newGuard(httpPort)
	for _, host := range []string{"127.0.0.1", "127.0.0.1:80", "localhost", "[::1]"} {
		r := httptest.NewRequest(http.MethodGet, "/ws", http.NoBody)
		r.Host = host
		r.Header.Set("Origin", "http://"+host)
		r.AddCookie(&http.Cookie{Name: g.name, Value: g.token})
		w := httptest.NewRecorder()
		g.wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
		assert.Equal(t, http.StatusOK, w.Code, host)
		assert.True(t, g.ours(r), host)
	}
	assert.NotContains(t, newGuard(8090).hosts, "localhost")
}
