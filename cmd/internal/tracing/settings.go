package tracing

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The variables that are looked at here. The exporter reads the others of OTEL_EXPORTER_OTLP_.
const (
	envDisabled       = "OTEL_SDK_DISABLED"
	envExporter       = "OTEL_TRACES_EXPORTER"
	envEndpoint       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	envTracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	envProtocol       = "OTEL_EXPORTER_OTLP_PROTOCOL"
	envTracesProtocol = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
	envSampler        = "OTEL_TRACES_SAMPLER"
	envSamplerArg     = "OTEL_TRACES_SAMPLER_ARG"
	envResource       = "OTEL_RESOURCE_ATTRIBUTES"
)

const (
	grpcProtocol = "grpc"
	httpProtocol = "http/protobuf" // the specification's default
)

// samplers are those of the specification that the SDK has, by whether they take an argument.
var samplers = map[string]bool{
	"always_on": false, "always_off": false, "traceidratio": true,
	"parentbased_always_on": false, "parentbased_always_off": false, "parentbased_traceidratio": true,
}

type settings struct {
	on                 bool
	protocol, endpoint string
}

// settingsOf reads the variables. An endpoint alone asks for traces, too: the specification's
// default, to send them to localhost unless told otherwise, is not for programs that most run
// without a collector.
func settingsOf(getenv func(string) string) (settings, error) {
	s := settings{
		endpoint: cmp.Or(getenv(envTracesEndpoint), getenv(envEndpoint)),
		protocol: cmp.Or(getenv(envTracesProtocol), getenv(envProtocol), httpProtocol),
	}
	switch exporter := getenv(envExporter); exporter {
	case "otlp":
		s.on = true
	case "none":
	case "":
		s.on = s.endpoint != ""
	default:
		return settings{}, fmt.Errorf("%s is %q: set it to otlp, or to none", envExporter, exporter)
	}
	if strings.EqualFold(getenv(envDisabled), "true") { // no other value, by the specification
		s.on = false
	}
	if !s.on {
		return settings{}, nil
	}
	if s.protocol != grpcProtocol && s.protocol != httpProtocol {
		name := envProtocol
		if getenv(envTracesProtocol) != "" {
			name = envTracesProtocol
		}
		return settings{}, fmt.Errorf("%s is %q: set it to %s or %s", name, s.protocol, httpProtocol, grpcProtocol)
	}
	for _, name := range []string{envTracesEndpoint, envEndpoint} {
		if err := checkEndpoint(name, getenv(name)); err != nil {
			return settings{}, err
		}
	}
	return s, checkSampler(getenv(envSampler), getenv(envSamplerArg))
}

// checkEndpoint quotes no value that is no URL: it may have a password all the same.
func checkEndpoint(name, value string) error {
	if value == "" {
		return nil
	}
	const remedy = "set it to a URL such as http://collector:4318 (or :4317 for grpc)"
	parsed, err := url.Parse(value)
	if err != nil {
		return fmt.Errorf("%s is no URL: %s", name, remedy)
	}
	if parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" {
		if strings.Contains(value, "@") {
			return fmt.Errorf("%s has no http:// or https:// and host: %s", name, remedy)
		}
		return fmt.Errorf("%s is %q: %s", name, value, remedy)
	}
	return nil
}

func checkSampler(name, argument string) error {
	if name == "" {
		return nil
	}
	takes, known := samplers[name]
	if !known {
		names := make([]string, 0, len(samplers))
		for other := range samplers {
			names = append(names, other)
		}
		slices.Sort(names)
		return fmt.Errorf("%s is %q: set it to one of %s", envSampler, name, strings.Join(names, ", "))
	}
	if ratio, err := strconv.ParseFloat(argument, 64); takes && argument != "" && (err != nil || !(ratio >= 0 && ratio <= 1)) {
		return fmt.Errorf("%s is %q: set it to the part of the traces that are kept, from 0 to 1, for example 0.01", envSamplerArg, argument)
	}
	return nil
}
