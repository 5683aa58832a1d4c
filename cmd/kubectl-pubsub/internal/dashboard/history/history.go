// Package history reads the last hours of a channel from a Prometheus that scrapes the scaler.
package history

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
)

// Prometheus is where the last hours are.
type Prometheus struct {
	address string // for errors; without the user's password
	api     promv1.API
	span    time.Duration
}

const (
	// timeout bounds one question.
	timeout = 15 * time.Second
	// Longest is the longest span that is read.
	Longest = 7 * 24 * time.Hour
	// mostSteps is how many points are read of each metric.
	mostSteps = 1_000
	// shortestStep is a common interval between two scrapes.
	shortestStep = 15 * time.Second
	// longestAnswer bounds an answer, in bytes: 1,000 values have some 30 kB.
	longestAnswer = 4 << 20
)

// New prepares the questions to the Prometheus at an address about the last hours. Nothing is asked yet.
func New(address string, span time.Duration) (*Prometheus, error) {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		if strings.Contains(address, "@") { // it may have a password all the same
			return nil, errors.New("--prometheus is no URL with http:// or https:// and a host: it must be one such as http://me:password@127.0.0.1:9090")
		}
		return nil, fmt.Errorf("--prometheus is %q: it must be a URL such as http://127.0.0.1:9090", address)
	}
	if span < time.Minute || span > Longest {
		return nil, fmt.Errorf("--history is %s: it must be from 1m to %s", span, Longest)
	}
	client, err := api.NewClient(api.Config{Address: address, RoundTripper: bounded{api.DefaultRoundTripper}})
	if err != nil {
		return nil, fmt.Errorf("--prometheus: %w", err)
	}
	return &Prometheus{address: parsed.Redacted(), api: promv1.NewAPI(client), span: span}, nil
}

// bounded reads no more of an answer than longestAnswer: --prometheus may be the address of anything.
type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(request)
	if err == nil {
		response.Body = &boundedBody{response.Body, longestAnswer}
	}
	return response, err
}

type boundedBody struct {
	io.ReadCloser
	left int
}

// Read implements io.Reader.
func (b *boundedBody) Read(into []byte) (int, error) {
	n, err := b.ReadCloser.Read(into)
	if b.left -= n; b.left < 0 {
		return 0, fmt.Errorf("its answer has more than %d bytes, which is no answer about one channel", longestAnswer)
	}
	return n, err
}

// metric is one that a point is made of.
type metric struct {
	name string
	set  func(p *protocol.Point, value int64)
}

// replicas is of spec.replicas of the Deployment, as the scaler read it. That is what Desired of a
// point means, too: pubsub_scaled_object_desired_replicas is what a decision asks for, and a
// cooldown, a limit or KEDA may keep it from being set. How many are ready the scaler does not tell.
var replicas = metric{"pubsub_scaled_object_replicas", func(p *protocol.Point, value int64) {
	p.Replicas, p.Ready, p.Desired = int32(value), int32(value), int32(value)
}}

// others are absent from a point if they have no value at its time.
var others = []metric{
	{"pubsub_scaled_object_queue_depth", func(p *protocol.Point, value int64) { p.Depth = &value }},
	{"pubsub_scaled_object_lower_bound_messages", func(p *protocol.Point, value int64) { p.LowerBound = &value }},
	{"pubsub_scaled_object_upper_bound_messages", func(p *protocol.Point, value int64) { p.UpperBound = &value }},
	{"pubsub_scaled_object_arriving_messages_per_second", func(p *protocol.Point, value int64) { p.Rate = &value }},
}

// asked tells which of several scalers KEDA asked last about a channel.
const asked = "pubsub_scaled_object_last_asked_timestamp_seconds"

// seriesOf are a channel's. Where a Prometheus keeps its own labels (honor_labels: false), namespace is
// the scaler's, of all channels, and the channel's is exported_namespace.
func seriesOf(name, namespace, channel string) string {
	return fmt.Sprintf(`(%s{namespace=%q,name=%q,exported_namespace=""} or %[1]s{exported_namespace=%[2]q,name=%[3]q})`, name, namespace, channel)
}

// queryOf asks for a metric of one channel. KEDA asks several scalers in turn, and one that is not asked
// any more tells its last answer for 2 more minutes. So the one that was asked last counts: what it
// does not tell is not known, whatever another one told before. Without asked, which older scalers
// do not have, the greatest counts. docs/metrics.md, Several scalers.
func queryOf(name, namespace, channel string) string {
	metric, last := seriesOf(name, namespace, channel), seriesOf(asked, namespace, channel)
	return fmt.Sprintf(`max(%[1]s and on (instance, pod) (%[2]s == scalar(max(%[2]s)))) or (max(%[1]s) unless on () %[2]s)`, metric, last)
}

// Points are those of a channel up to now, the oldest first: one for each step in which the scaler
// told how many replicas there were, and a gap where it stopped telling. The scaler does
// not tell how many are ready, so all count as that. Where a metric has no value, the point has none.
func (p *Prometheus) Points(ctx context.Context, namespace, name string, now time.Time) ([]protocol.Point, error) {
	step := max(shortestStep, (p.span / mostSteps).Round(time.Second))
	during := promv1.Range{Start: now.Add(-p.span), End: now, Step: step}
	found := map[int64]*protocol.Point{} // by their time, in milliseconds
	told, err := p.values(ctx, queryOf(replicas.name, namespace, name), during)
	if err != nil {
		return nil, err
	}
	for _, pair := range told {
		if value, ok := number(pair); ok {
			point := &protocol.Point{Time: pair.Timestamp.Time().UTC()}
			replicas.set(point, value)
			found[int64(pair.Timestamp)] = point
		}
	}
	for _, metric := range others {
		told, err := p.values(ctx, queryOf(metric.name, namespace, name), during)
		if err != nil {
			return nil, err
		}
		for _, pair := range told {
			if value, ok := number(pair); ok && found[int64(pair.Timestamp)] != nil {
				metric.set(found[int64(pair.Timestamp)], value)
			}
		}
	}
	points := make([]protocol.Point, 0, len(found))
	for _, at := range slices.Sorted(maps.Keys(found)) {
		points = append(points, *found[at])
	}
	return withGaps(points, step, during.End), nil
}

// number is a value as a whole number; false for what is no number of anything.
func number(pair model.SamplePair) (value int64, ok bool) {
	v := float64(pair.Value)
	if math.IsNaN(v) || v < 0 || v >= 1<<62 {
		return 0, false
	}
	return int64(math.Round(v)), true
}

// withGaps ends a point if the next is missing, or the end is far: a point holds until the next one,
// and while nothing was told, nothing is known.
func withGaps(points []protocol.Point, step time.Duration, end time.Time) (whole []protocol.Point) {
	for i, p := range points {
		whole = append(whole, p)
		next := end
		if i+1 < len(points) {
			next = points[i+1].Time
		}
		if next.Sub(p.Time) > 2*step {
			whole = append(whole, protocol.Point{Time: p.Time.Add(step), Gap: true})
		}
	}
	return whole
}

func (p *Prometheus) values(ctx context.Context, query string, during promv1.Range) ([]model.SamplePair, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer within %s", timeout))
	defer cancel()
	result, _, err := p.api.QueryRange(ctx, query, during)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, fmt.Errorf("the Prometheus at %s can't be asked for the last %s, so the history begins when the dashboard did: correct --prometheus, or check that it can be reached from here: %w", p.address, p.span, err)
	}
	matrix, ok := result.(model.Matrix)
	if !ok {
		return nil, fmt.Errorf("the Prometheus at %s answered with a %s in place of a matrix: correct --prometheus", p.address, result.Type())
	}
	switch len(matrix) {
	case 0:
		return nil, nil
	case 1:
		return matrix[0].Values, nil
	default:
		return nil, errors.New("the Prometheus answered with several series for one channel")
	}
}
