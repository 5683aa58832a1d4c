package broker

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// What a server says goes into errors, and so into KEDA's log and the conditions of whoever
// may read them. A server may say what was sent to it, the password too (Redis does where
// AUTH is renamed), and what answers need not be a Redis server at all. So the errors of
// go-redis pass through redactor.safe where they come in, and what a reply's values make of an
// error through redactor.values.

const (
	// maxReply is how many characters of a server's error are shown: Redis's own are shorter.
	maxReply = 120
	// maxText is that of an error of the network, which may name an address that a server gave.
	maxText = 300
	// maxName is that of a name that a server gave: of a group, a node, a type.
	maxName = 80
	// redacted stands for what is not shown.
	redacted = "…"
	// longSecret is the length, in bytes, from which on a secret is no part of a text by chance.
	longSecret = 8
)

// errStranger is an answer that is none of RESP: nothing of it is shown.
var errStranger = errors.New("it does not answer as a Redis server does")

// redactor keeps the secrets of one server out of the errors of its connections.
type redactor struct {
	server Server
	// passwords are in all forms in which a text may have them. A text with one is not shown.
	passwords []string
	// usernames are replaced, so that the rest still shows which right is missing.
	usernames []string
}

func newRedactor(server Server, m material) redactor {
	r := redactor{server: server}
	for _, password := range []string{m.password, m.sentinelPassword} {
		r.passwords = append(r.passwords, forms(password)...)
	}
	for _, username := range []string{m.username, m.sentinelUsername} {
		r.usernames = append(r.usernames, forms(username)...)
	}
	return r
}

// forms are how a text may have a secret: as it is, on one line, quoted, encoded.
func forms(secret string) []string {
	if secret == "" {
		return nil
	}
	quoted := strconv.Quote(secret)
	all := []string{secret}
	for _, form := range []string{
		oneLine(secret), quoted[1 : len(quoted)-1], url.QueryEscape(secret), url.PathEscape(secret),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawStdEncoding.EncodeToString([]byte(secret)),
		base64.URLEncoding.EncodeToString([]byte(secret)),
	} {
		if form != "" && form != secret {
			all = append(all, form)
		}
	}
	return all
}

// redactedError is an error with a text that may be shown to anybody.
type redactedError struct {
	text string
	errs []error
}

func (e *redactedError) Error() string   { return e.text }
func (e *redactedError) Unwrap() []error { return e.errs }

// safe makes an error of go-redis one whose text may be shown: errors of a server by how
// they begin, those of the network and of this project as they are, and nothing of any
// other. What is in err is still found by errors.Is and errors.As, but for what is not shown.
func (r redactor) safe(err error) error {
	if err == nil || err == redis.Nil { //nolint:errorlint // the one that most replies have, as it is
		return err
	}
	parts := r.parts(err)
	switch len(parts) {
	case 0:
		return errStranger
	case 1:
		return parts[0]
	}
	var texts []string
	for _, part := range parts {
		if text := part.Error(); len(texts) == 0 || texts[len(texts)-1] != text {
			texts = append(texts, text) // several sentinels often say the same
		}
	}
	return &redactedError{text: strings.Join(texts, "; "), errs: parts}
}

// parts is what an error's tree has that may be shown, after r.safe.
func (r redactor) parts(err error) []error {
	switch err := err.(type) { //nolint:errorlint // each node of the tree is looked at
	case *redactedError:
		return []error{err}
	case redis.Error:
		return []error{r.shown(r.reply(err.Error()), err)}
	case *sentinelError:
		parts := r.parts(err.err)
		for i, part := range parts {
			parts[i] = &sentinelError{part}
		}
		return parts
	}
	if isOurs(err) {
		return []error{r.shown(r.line(err.Error()), err)}
	}
	switch wrapper := err.(type) { //nolint:errorlint // as above
	case interface{ Unwrap() error }:
		if inner := wrapper.Unwrap(); inner != nil {
			return r.parts(inner)
		}
	case interface{ Unwrap() []error }:
		var all []error
		for _, inner := range wrapper.Unwrap() {
			all = append(all, r.parts(inner)...)
		}
		return all
	}
	return nil
}

func (r redactor) shown(text string, err error) error {
	if text == err.Error() {
		return err
	}
	return &redactedError{text: text, errs: []error{err}}
}

// ourErrors are errors without a type of their own, whose texts this project, Go or go-redis
// made of nothing that a server said.
var ourErrors = []error{
	errNoReply, errHungUp, errAnswersTLS, errStranger, context.Canceled, io.EOF, io.ErrUnexpectedEOF,
	redis.ErrClosed, redis.ErrPoolTimeout, redis.ErrPoolExhausted,
}

// goRedisErrors are the texts of those of go-redis (9.23) that it does not export.
var goRedisErrors = map[string]bool{
	"redis: cluster has no nodes":                                  true,
	"redis: connection unusable (reply stream desynchronized)":     true,
	"redis: connection not available":                              true,
	"redis: connection not available for write operation":          true,
	"state transition timeout":                                     true,
	"unexpected read from socket":                                  true,
	"redis: no sentinels configured":                               true,
	"redis: all keys in the pipeline must belong to the same slot": true,
}

// ourPackages are those whose types of errors have no text of a server in them, or one that
// redactor.line makes safe: addresses, and names in certificates.
var ourPackages = map[string]bool{
	"context": true, "crypto/tls": true, "crypto/x509": true, "internal/poll": true, "io/fs": true, "net": true, "os": true, "syscall": true,
}

const ourModule = "github.com/jawaracloud/pubsub-operator/"

// isOurs reports whether an error, not what it wraps, may be shown.
func isOurs(err error) bool {
	kind := reflect.TypeOf(err)
	if kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	if path := kind.PkgPath(); ourPackages[path] || strings.HasPrefix(path, ourModule) {
		return true
	}
	for _, known := range ourErrors {
		if err == known { //nolint:errorlint // this one, not what it wraps
			return true
		}
	}
	return goRedisErrors[err.Error()]
}

// code is the word with which an error of Redis begins.
var code = regexp.MustCompile(`^[A-Z][A-Z0-9_]{1,31}( |$)`)

// arguments is where an error repeats what was sent: Redis's "unknown command".
const arguments = "with args beginning with"

// reply is what is shown of a server's error.
func (r redactor) reply(text string) string {
	text = oneLine(text)
	if at := strings.Index(text, arguments); at >= 0 {
		text = strings.TrimRight(text[:at], " ,")
	}
	hidden, ok := r.hide(text)
	if ok {
		return cut(hidden, maxReply)
	}
	first := strings.TrimSpace(code.FindString(text))
	if _, ok := r.hide(first); !ok || first == "" {
		return redacted
	}
	return first + " " + redacted
}

// line is what is shown of another text that may have something in it that a server gave.
func (r redactor) line(text string) string {
	hidden, ok := r.hide(oneLine(text))
	if !ok {
		return redacted
	}
	return cut(hidden, maxText)
}

// name is what is shown of a name that a server gave.
func (r redactor) name(text string) string {
	hidden, ok := r.hide(oneLine(text))
	if !ok {
		return redacted
	}
	return cut(hidden, maxName)
}

func (r redactor) names(texts []string) []string {
	shown := make([]string, len(texts))
	for i, text := range texts {
		shown[i] = r.name(text)
	}
	return shown
}

// hide takes usernames out of a text. ok is false where it has a password: to put "…" in the
// place of one that is a common word would tell it to whoever knows the whole text.
func (r redactor) hide(text string) (hidden string, ok bool) {
	for _, password := range r.passwords {
		// What the address has is no secret, though the password may be the same word.
		if has(text, password) && !strings.Contains(r.server.Address, password) {
			return "", false
		}
	}
	for _, username := range r.usernames {
		if has(text, username) {
			text = replace(text, username)
		}
	}
	return text, true
}

// has reports whether a text has a secret: a short one as a word, a long one anywhere.
func has(text, secret string) bool { return replace(text, secret) != text }

// replace puts "…" in the place of a secret.
func replace(text, secret string) string {
	if !strings.Contains(text, secret) {
		return text
	}
	if len(secret) >= longSecret {
		return strings.ReplaceAll(text, secret, redacted)
	}
	var replaced strings.Builder
	last := utf8.RuneError
	for {
		before, after, found := strings.Cut(text, secret)
		replaced.WriteString(before)
		if !found {
			return replaced.String()
		}
		if before != "" {
			last, _ = utf8.DecodeLastRuneInString(before)
		}
		next, _ := utf8.DecodeRuneInString(after)
		if isWord(last) || isWord(next) {
			replaced.WriteString(secret)
			last, _ = utf8.DecodeLastRuneInString(secret)
		} else {
			replaced.WriteString(redacted)
			last = utf8.RuneError
		}
		text = after
	}
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// oneLine is a text on one line: what can't be printed becomes a space, the marks that turn
// the direction of writing too.
func oneLine(text string) string {
	printable := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != utf8.RuneError {
			return r
		}
		return ' '
	}, text)
	if printable == text {
		return text
	}
	return strings.Join(strings.Fields(printable), " ")
}

// cut shortens a text to that many characters.
func cut(text string, characters int) string {
	if utf8.RuneCountInString(text) <= characters {
		return text
	}
	return string([]rune(text)[:characters-1]) + redacted
}

// values makes an error that has values of replies in it one that may be shown.
func (r redactor) values(err error) error {
	switch err := err.(type) { //nolint:errorlint // none of these is wrapped, and another is left as it is
	case *StaleReplicaError:
		safe := *err
		safe.Address, safe.Master = r.line(err.Address), r.name(err.Master)
		return &safe
	case *AtSentinelError:
		safe := *err
		safe.Address, safe.Masters = r.line(err.Address), r.names(err.Masters)
		return &safe
	case *queue.GroupError:
		safe := *err
		safe.Groups = r.names(err.Groups)
		return &safe
	case *queue.WrongTypeError:
		safe := *err
		safe.Got = r.name(err.Got)
		return &safe
	case *queue.ReplyError:
		safe := *err
		safe.Command = r.line(err.Command)
		if err.Err != nil {
			safe.Err = r.shown(r.reply(err.Err.Error()), err.Err)
		}
		return &safe
	default:
		return err
	}
}

// Note is a note of go-redis for a log. Which server it is of is not known, nor then its
// secrets: of what go-redis puts into it only numbers are shown, and the causes of errors.
func Note(format string, arguments ...any) string {
	shown := make([]any, len(arguments))
	for i, argument := range arguments {
		shown[i] = noted(argument)
	}
	return oneLine(fmt.Sprintf(format, shown...))
}

func noted(argument any) any {
	switch argument := argument.(type) {
	case error:
		safe := redactor{}.safe(argument)
		if text := code.FindString(safe.Error()); text != "" && errors.As(safe, new(redis.Error)) && codes[strings.TrimSpace(text)] {
			return noteText(string(causeOf(safe)) + " " + strings.TrimSpace(text))
		}
		return noteText(causeOf(safe))
	case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, bool, float32, float64:
		return argument
	default:
		return noteText(redacted)
	}
}

// codes are those that a note shows: others may be anything.
var codes = map[string]bool{
	"ERR": true, "NOAUTH": true, "WRONGPASS": true, "NOPERM": true, "LOADING": true, "MASTERDOWN": true, "BUSY": true, "READONLY": true,
	"CLUSTERDOWN": true, "TRYAGAIN": true, "MOVED": true, "ASK": true, "WRONGTYPE": true, "DENIED": true,
}

// noteText is a text that is written without quotes whatever the verb.
type noteText string

func (t noteText) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, string(t)) }
