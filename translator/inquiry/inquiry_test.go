package inquiry

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/utils/ptr"

	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// ofScaler is an error of the scaler's own.
func ofScaler(code codes.Code, message string) error {
	return inspect.Error(code, "Test", message)
}

func TestUnreachable(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want bool
		code codes.Code
	}{
		"the scaler can't reach the broker": {ofScaler(codes.Unavailable, "x"), false, codes.Unavailable},
		"the scaler was too slow to read":   {ofScaler(codes.DeadlineExceeded, "x"), false, codes.DeadlineExceeded},
		"no connection to the scaler":       {status.Error(codes.Unavailable, "x"), true, codes.Unavailable},
		"no answer in time":                 {status.Error(codes.DeadlineExceeded, "x"), true, codes.DeadlineExceeded},
		"another server":                    {status.Error(codes.Unimplemented, "x"), true, codes.Unimplemented},
		"InvalidArgument, never of gRPC":    {status.Error(codes.InvalidArgument, "x"), false, codes.InvalidArgument},
		"NotFound, never of gRPC":           {status.Error(codes.NotFound, "x"), false, codes.NotFound},
		"FailedPrecondition, never of gRPC": {status.Error(codes.FailedPrecondition, "x"), false, codes.FailedPrecondition},
		"OutOfRange, never of gRPC":         {status.Error(codes.OutOfRange, "x"), false, codes.OutOfRange},
		"no status":                         {errors.New("x"), true, codes.Unknown},
		"a deadline without status":         {context.DeadlineExceeded, true, codes.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			got, code, _ := Unreachable(test.err)
			assert.Equal(t, test.want, got)
			assert.Equal(t, test.code, code)
		})
	}
}

func TestReasonName(t *testing.T) {
	assert.Equal(t, "WithinBand", ReasonName(inspectv1.Reason_REASON_WITHIN_BAND))
	assert.Equal(t, "FewerWouldExceedUpperBound", ReasonName(inspectv1.Reason_REASON_FEWER_WOULD_EXCEED_UPPER_BOUND))
}

func TestAnswersThatSayTheSame(t *testing.T) {
	base := func() *Answer {
		return &Answer{Response: &inspectv1.ExplainResponse{QueueDepth: 5, Reason: inspectv1.Reason_REASON_COOLDOWN, MessageRate: ptr.To(1.2), Explanation: "23 s left"}}
	}
	remarked := func(words string) *Answer { a := base(); a.Response.ConcurrencyRemark = words; return a }
	failed := func(words string) *Answer { return &Answer{Err: ofScaler(codes.Unavailable, words)} }
	for name, test := range map[string]struct {
		a, b *Answer
		want bool
	}{
		"a cooldown counts down":   {base(), func() *Answer { a := base(); a.Response.Explanation = "8 s left"; return a }(), true},
		"a rate wavers":            {base(), func() *Answer { a := base(); a.Response.MessageRate = ptr.To(1.4); return a }(), true},
		"other lasting words":      {base(), func() *Answer { a := base(); a.Response.LastingExplanation = "x"; return a }(), false},
		"another depth":            {base(), func() *Answer { a := base(); a.Response.QueueDepth = 6; return a }(), false},
		"another reason":           {base(), func() *Answer { a := base(); a.Response.Reason = inspectv1.Reason_REASON_IDLE; return a }(), false},
		"a rate is known no more":  {base(), func() *Answer { a := base(); a.Response.MessageRate = nil; return a }(), false},
		"another question":         {base(), func() *Answer { a := base(); a.Question.Replicas = 9; return a }(), false},
		"another policy decides":   {base(), func() *Answer { a := base(); a.Response.PolicyInUse = "Threshold"; return a }(), false},
		"a fallback":               {base(), func() *Answer { a := base(); a.Response.FallbackReason = "x"; return a }(), false},
		"a remark":                 {base(), remarked("8.1 on each worker"), false},
		"a remark that wavers":     {remarked("8.1 on each worker"), remarked("8.3 on each worker"), true},
		"a failure":                {base(), failed("x"), false},
		"a failure that counts on": {failed("for 3 s"), failed("for 18 s"), true},
		"another failure":          {failed("refused"), failed("no route"), false},
		"the first":                {base(), nil, false},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.want, test.a.SameAs(test.b)) })
	}
}
