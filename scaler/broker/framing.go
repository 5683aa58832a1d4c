package broker

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// What a reply may be at most. go-redis takes the length that a server announces for true,
// and makes room for it before the first byte has come: 24 bytes are enough to end the
// process. The limits are those of what a read of depths can need.
const (
	// maxLine bounds a status or an error, in bytes. Redis cuts what it repeats of a command
	// in an error at 128 bytes (server.c, rejectCommand and unknown commands).
	maxLine = 16 << 10
	// maxNumber bounds a number or a length: that of the lowest int64, with its sign.
	maxNumber = 20
	// maxBulk bounds a string, in bytes. The largest that are read are entries of a stream
	// (XINFO STREAM holds two whole ones, XRANGE some), a job of Sidekiq, and CLIENT LIST
	// (some 400 bytes for each subscriber).
	maxBulk = 8 << 20
	// maxElements bounds an array. The longest that are read: the consumers of a list, the
	// processes of Sidekiq, and the fields of a stream's entry.
	maxElements = 1 << 17
	// maxNesting bounds how deep arrays are in arrays. CLUSTER SLOTS has four: the ranges, a
	// range, a node, and what is known of it.
	maxNesting = 8
	// elementBytes is what go-redis may take for an element of an array, beside its text:
	// 16 for an interface, 64 for an entry of a stream or a node.
	elementBytes = 64
	// maxRead bounds all replies of one pipeline together, in bytes, each element counted as
	// elementBytes: 1,000 streams of entries of 8 KB. It is a bound of memory, so it is
	// what was announced that counts.
	maxRead = 16 << 20
)

// ReplyLimitError is a reply beyond what a read of depths can need.
type ReplyLimitError struct {
	Address string // of the server that was connected to
	Part    string // of the reply, such as "a string"
	// Size is what the server announced or sent, and Limit what it may be at most; both in
	// Unit. Size is text, because it may be more than any number holds.
	Size, Unit string
	Limit      int64
}

// partAll is the Part of a reply that is within all limits but for those before it.
const partAll = "replies to one pipeline"

// FitsApart reports whether the replies of a failed pipeline may fit in several, one after the
// other.
func FitsApart(err error) bool {
	var limit *ReplyLimitError
	return errors.As(err, &limit) && limit.Part == partAll || errors.As(err, new(*ReplyBudgetError))
}

func (e *ReplyLimitError) Error() string {
	return fmt.Sprintf("the server at %s answers with %s of %s %s; at most %d are read", e.Address, e.Part, e.Size, e.Unit, e.Limit)
}

// NotRESPError is an answer that is no reply of Redis. It shows none of it: it may be
// anybody's.
type NotRESPError struct {
	Address string
	Why     string
}

func (e *NotRESPError) Error() string {
	return fmt.Sprintf("the server at %s does not answer as Redis does (RESP2): %s: correct redisAddress", e.Address, e.Why)
}

// framing follows the replies of RESP2 in the bytes of a connection, however those are cut
// into pieces, and finds what go-redis must not see. RESP3's types are refused with all
// others: nobody asked for them (HELLO 2), and an attribute before a reply costs go-redis
// a level of its stack, without an end.
type framing struct {
	phase phase
	kind  byte // of the line or the string
	last  byte // of the line so far
	line  int  // its bytes so far, without the kind
	body  int  // bytes of a string that are to come

	number [maxNumber]byte // of a line that is one
	depth  int
	// left is how many elements are to come, of the arrays around.
	left [maxNesting]int32

	// held is what the replies take since begin, by the rule of maxRead.
	held int64
}

// phase is what comes next.
type phase uint8

const (
	atKind phase = iota
	inLine
	inBody
	atBodyCR
	atBodyLF
)

// begin starts the count of what the replies take.
func (f *framing) begin() { f.held = 0 }

// between reports whether no reply has begun that has not ended.
func (f *framing) between() bool { return f.phase == atKind && f.depth == 0 }

// follow reads on. The error has no Address.
func (f *framing) follow(p []byte) error {
	for len(p) > 0 {
		var n int
		var err error
		switch f.phase {
		case atKind:
			n, err = 1, f.begins(p[0])
		case inLine:
			n, err = f.inLine(p)
		case inBody:
			n = min(len(p), f.body)
			if f.body -= n; f.body == 0 {
				f.phase = atBodyCR
			}
		case atBodyCR:
			n, f.phase = 1, atBodyLF
			if p[0] != '\r' {
				err = &NotRESPError{Why: "a string is longer than announced"}
			}
		case atBodyLF:
			n = 1
			if p[0] != '\n' {
				err = &NotRESPError{Why: "a string is longer than announced"}
			}
			f.ends()
		}
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

func (f *framing) begins(kind byte) error {
	switch kind {
	case '+', '-', ':', '$', '*':
		f.phase, f.kind, f.line = inLine, kind, 0
		return f.hold(1)
	default:
		return &NotRESPError{Why: fmt.Sprintf("a reply begins with the byte 0x%02x", kind)}
	}
}

// inLine reads the rest of a line, or what there is of it.
func (f *framing) inLine(p []byte) (int, error) {
	n, ended := len(p), false
	if end := bytes.IndexByte(p, '\n'); end >= 0 {
		n, ended = end+1, true
	}
	isText := f.kind == '+' || f.kind == '-'
	switch {
	case isText && f.line+n > maxLine+2:
		return n, &ReplyLimitError{Part: "a line", Size: "more than " + strconv.Itoa(maxLine), Unit: "bytes", Limit: maxLine}
	case !isText && f.line+n > maxNumber+2:
		return n, &NotRESPError{Why: fmt.Sprintf("a number has more than %d digits", maxNumber)}
	case !isText:
		copy(f.number[min(f.line, maxNumber):], p[:n])
	}
	if err := f.hold(n); err != nil {
		return n, err
	}
	before := f.last
	if n > 1 {
		before = p[n-2]
	}
	onlyLF := f.line == 0 && n == 1
	f.last = p[n-1]
	f.line += n
	if !ended {
		return n, nil
	}
	if before != '\r' || onlyLF {
		return n, &NotRESPError{Why: "a line does not end with CR LF"}
	}
	return n, f.lineEnds()
}

// lineEnds takes a line that is complete.
func (f *framing) lineEnds() error {
	digits := f.number[:min(max(f.line-2, 0), maxNumber)]
	switch f.kind {
	case ':':
		if _, err := strconv.ParseInt(string(digits), 10, 64); err != nil {
			return &NotRESPError{Why: "a number is malformed"}
		}
	case '$':
		return f.bulkBegins(digits)
	case '*':
		return f.arrayBegins(digits)
	}
	f.ends()
	return nil
}

func (f *framing) bulkBegins(digits []byte) error {
	length, isNil, err := lengthOf(digits)
	if err != nil {
		return err
	}
	if length > maxBulk {
		return &ReplyLimitError{Part: "a string", Size: string(digits), Unit: "bytes", Limit: maxBulk}
	}
	if isNil {
		f.ends()
		return nil
	}
	f.phase, f.body = inBody, length
	if length == 0 {
		f.phase = atBodyCR
	}
	return f.hold(length + 2)
}

func (f *framing) arrayBegins(digits []byte) error {
	length, _, err := lengthOf(digits)
	if err != nil {
		return err
	}
	if length > maxElements {
		return &ReplyLimitError{Part: "an array", Size: string(digits), Unit: "elements", Limit: maxElements}
	}
	if length == 0 {
		f.ends()
		return nil
	}
	if f.depth == maxNesting {
		return &ReplyLimitError{Part: "arrays in arrays", Size: strconv.Itoa(maxNesting + 1), Unit: "levels", Limit: maxNesting}
	}
	f.left[f.depth] = int32(length)
	f.depth++
	f.phase = atKind
	return f.hold(length * elementBytes)
}

// lengthOf reads the length of a string or an array, which -1 says not to be there. It
// takes less than go-redis does: no sign, and no other number below 0. One that no number
// holds is the highest.
func lengthOf(digits []byte) (length int, isNil bool, err error) {
	if string(digits) == "-1" {
		return 0, true, nil
	}
	if len(digits) == 0 {
		return 0, false, &NotRESPError{Why: "a length is missing"}
	}
	for _, digit := range digits {
		if digit < '0' || digit > '9' {
			return 0, false, &NotRESPError{Why: "a length is not a number"}
		}
	}
	if length, err = strconv.Atoi(string(digits)); err != nil {
		return math.MaxInt, false, nil //nolint:nilerr // it is out of range, and of every limit
	}
	return length, false, nil
}

// ends takes note that a reply, or an element of one, is complete.
func (f *framing) ends() {
	f.phase = atKind
	for f.depth > 0 {
		if f.left[f.depth-1]--; f.left[f.depth-1] > 0 {
			return
		}
		f.depth--
	}
}

func (f *framing) hold(n int) error {
	if f.held += int64(n); f.held > maxRead {
		return &ReplyLimitError{Part: partAll, Size: "more than " + strconv.Itoa(maxRead), Unit: "bytes", Limit: maxRead}
	}
	return nil
}
