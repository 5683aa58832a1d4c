package serve

import (
	"crypto/rand"
	"crypto/subtle"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// policy is what the page may do: load what this server has, and nothing else. All scripts and
// styles are files, so that text from the cluster that got into the page as markup could do
// nothing.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// headers are on each answer, refusals included.
var headers = map[string]string{
	"Content-Security-Policy":      policy,
	"X-Content-Type-Options":       "nosniff",
	"Referrer-Policy":              "no-referrer",
	"Cache-Control":                "no-store",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
}

// guard lets through who came by the URL that the command printed, and browsers that show pages
// of this server. Any page on the internet can send requests to 127.0.0.1 by its visitors'
// browsers, and any name can resolve to it.
type guard struct {
	token string
	hosts []string // as in the header Host
	name  string   // of the cookie
}

// httpPort is the port of http.
const httpPort = 80

func newGuard(port int) *guard {
	p := strconv.Itoa(port)
	g := &guard{token: rand.Text(), name: "kubectl_pubsub_" + p}
	for _, host := range []string{"127.0.0.1", "localhost", "::1"} {
		whole := net.JoinHostPort(host, p)
		g.hosts = append(g.hosts, whole)
		if port == httpPort { // which browsers leave out
			g.hosts = append(g.hosts, strings.TrimSuffix(whole, ":"+p))
		}
	}
	return g
}

// wrap is a handler behind the guard.
func (g *guard) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range headers {
			w.Header().Set(name, value)
		}
		given := r.URL.Query().Get("token")
		switch {
		case !slices.Contains(g.hosts, strings.ToLower(r.Host)):
			http.Error(w, "this host is not the dashboard's: open the URL that kubectl pubsub dashboard printed", http.StatusForbidden)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "the dashboard changes nothing: use GET", http.StatusMethodNotAllowed)
		case given != "" && !g.is(given):
			http.Error(w, "this token is not the dashboard's: open the URL that kubectl pubsub dashboard printed last", http.StatusForbidden)
		case given != "" && r.URL.Path == "/":
			g.welcome(w, r)
		case given == "" && !g.knows(r):
			http.Error(w, "a token is missing: open the URL that kubectl pubsub dashboard printed", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (g *guard) is(given string) bool {
	return subtle.ConstantTimeCompare([]byte(given), []byte(g.token)) == 1
}

func (g *guard) knows(r *http.Request) bool {
	return slices.ContainsFunc(r.CookiesNamed(g.name), func(c *http.Cookie) bool { return g.is(c.Value) })
}

// welcome keeps the token in a cookie, so that it is neither in the address bar nor in the
// history. The cookie ends with the browser; the token ends with the command.
func (g *guard) welcome(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // not Secure: the server is on loopback, without TLS
		Name: g.name, Value: g.token, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// ours is whether a WebSocket is from a page of this server. A browser always says from where; who
// does not say is refused, too.
func (g *guard) ours(r *http.Request) bool {
	return slices.ContainsFunc(g.hosts, func(host string) bool { return r.Header.Get("Origin") == "http://"+host })
}
