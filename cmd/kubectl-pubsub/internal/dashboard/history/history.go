// Package history reads the last hours of a channel from a Prometheus that scrapes the scaler.
package history

import (
	"context"
	"errors"
	"fmt"
	"math"
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
	client, err := api.NewClient(api.Config{Address: address})
	if err != nil {
		return nil, fmt.Errorf("--prometheus: %w", err)
	}
	return &Prometheus{address: parsed.Redacted(), api: promv1.NewAPI(client), span: span}, nil
}

// metrics are what a point is made of. Several scalers answer alike, so any will do: the greatest.
var metrics = []struct {
	name string
	set  func(p *protocol.Point, value int64)
}{
	{"pubsub_scaled_object_queue_depth", func(p *protocol.Point, value int64) { p.Depth = &value }},
	{"pubsub_scaled_object_replicas", func(p *protocol.Point, value int64) { p.Replicas, p.Ready = int32(value), int32(value) }},
	{"pubsub_scaled_object_desired_replicas", func(p *protocol.Point, value int64) { p.Desired = int32(value) }},
	{"pubsub_scaled_object_lower_bound_messages", func(p *protocol.Point, value int64) { p.LowerBound = &value }},
	{"pubsub_scaled_object_upper_bound_messages", func(p *protocol.Point, value int64) { p.UpperBound = &value }},
	{"pubsub_scaled_object_arriving_messages_per_second", func(p *protocol.Point, value int64) { p.Rate = &value }},
}

// ofChannel asks for a metric of one channel. Where a Prometheus keeps its own labels (honor_labels:
// false), namespace is the scaler's, of all channels, and the channel's is exported_namespace.
const ofChannel = `max(%s{namespace=%q,name=%q,exported_namespace=""} or %[1]s{exported_namespace=%[2]q,name=%[3]q})`

// Points are those of a channel up to now, the oldest first: one for each step in which the scaler
// told how many replicas there were, and one without a depth where it stopped telling. The scaler does not tell how many are ready, so all count as
// that. Where a metric has no value, the point has none.
func (p *Prometheus) Points(ctx context.Context, namespace, name string, now time.Time) ([]protocol.Point, error) {
	step := max(shortestStep, (p.span / mostSteps).Round(time.Second))
	during := promv1.Range{Start: now.Add(-p.span), End: now, Step: step}
	found := map[int64]*protocol.Point{} // by their time, in milliseconds
	counted := map[int64]bool{}          // moments of which the replicas are known
	for i, metric := range metrics {
		values, err := p.values(ctx, fmt.Sprintf(ofChannel, metric.name, namespace, name), during)
		if err != nil {
			return nil, err
		}
		for _, value := range values {
			if v := float64(value.Value); math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
				continue // not a number of anything
			}
			point := found[int64(value.Timestamp)]
			if point == nil {
				point = &protocol.Point{Time: value.Timestamp.Time().UTC()}
				found[int64(value.Timestamp)] = point
			}
			metric.set(point, int64(math.Round(float64(value.Value))))
			if i == 1 {
				counted[int64(value.Timestamp)] = true
			}
		}
	}
	var points []protocol.Point
	for at, point := range found {
		if counted[at] {
			points = append(points, *point)
		}
	}
	slices.SortFunc(points, func(a, b protocol.Point) int { return a.Time.Compare(b.Time) })
	return withGaps(points, step, during.End), nil
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
			whole = append(whole, protocol.Point{Time: p.Time.Add(step), Replicas: p.Replicas, Ready: p.Ready, Desired: p.Desired})
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
