package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/convert"
)

// converting is one run of convert.
type converting struct {
	file    string
	options convert.Options
}

func newConvertCommand() *cobra.Command {
	c := &converting{}
	command := &cobra.Command{
		Use:   "convert -f FILE",
		Short: "Turn a ScaledObject with KEDA's redis trigger into one with ours",
		Long: `Turn ScaledObjects with KEDA's redis or redis-streams trigger into ones with ours.

The result is printed, and what should be known of it goes to standard error; nothing is
applied. If the file has the TriggerAuthentication or ClusterTriggerAuthentication too, its
Secrets are taken over. Of several ScaledObjects, those that can be converted are printed, and
those that can't are told: then the exit code is 1. Those that read no Redis, ScaledJobs, and
what else is in the file are left out, which is told and no error. If the file is one such
object alone, it is an error.`,
		Example: `  kubectl pubsub convert -f scaledobject.yaml > converted.yaml
  kubectl get scaledobject mailer -o yaml | kubectl pubsub convert -f -

  # All of a cluster
  kubectl get scaledobjects,triggerauthentications,clustertriggerauthentications -A -o yaml | kubectl pubsub convert -f -`,
		Args: cobra.NoArgs,
		RunE: c.run,
	}
	flags := command.Flags()
	flags.StringVarP(&c.file, "filename", "f", "", "file with the ScaledObjects, or - for standard input")
	flags.StringVar(&c.options.ScalerAddress, "scaler-address", "pubsub-operator-scaler.pubsub-system.svc:9090", "host:port of the scaler, as KEDA's pods reach it")
	flags.StringVar(&c.options.AuthenticationRef, "authentication-ref", "pubsub-operator", "ClusterTriggerAuthentication for the scaler; empty without TLS")
	return command
}

func (c *converting) run(command *cobra.Command, _ []string) error {
	if c.file == "" {
		return errors.New("--filename is missing: name a file, or - for standard input")
	}
	in := command.InOrStdin()
	if c.file != "-" {
		file, err := os.Open(c.file)
		if err != nil {
			return fmt.Errorf("--filename: %w", err)
		}
		defer func() { _ = file.Close() }() // it was only read
		in = file
	}
	read, err := readObjects(in)
	if err != nil {
		return fmt.Errorf("reading %s: %w", c.file, err)
	}
	if len(read.objects) == 0 {
		return fmt.Errorf("%s has no ScaledObject%s", c.file, read.others(", only "))
	}
	return c.print(command, read)
}

// print prints all that can be converted. What can't be is told of each; what is not for our scaler is only noted, unless it is all that
// was given.
func (c *converting) print(command *cobra.Command, given documents) error {
	out, notes := command.OutOrStdout(), command.ErrOrStderr()
	var failed []error
	printed := 0
	for _, object := range given.objects {
		name := nameOf(object)
		result, err := convert.ScaledObject(object, given.authentications, c.options)
		if err != nil {
			err = fmt.Errorf("%s %s: %w", object.GetKind(), name, err)
			if !convert.IsForeign(err) || given.alone() {
				failed = append(failed, err)
				continue
			}
			fmt.Fprintf(notes, "left out: %v\n", err)
			continue
		}
		data, err := yaml.Marshal(result.Object.Object)
		if err != nil {
			return err
		}
		if printed > 0 {
			fmt.Fprintln(out, "---")
		}
		printed++
		fmt.Fprint(out, string(data))
		for _, note := range result.Notes {
			fmt.Fprintf(notes, "%s: %s\n", name, note)
		}
	}
	fmt.Fprint(notes, given.others("left out: ", "\n"))
	if printed == 0 && len(failed) == 0 {
		fmt.Fprintf(notes, "nothing was converted: no ScaledObject of %s reads Redis with a trigger of KEDA's\n", c.file)
	}
	return errors.Join(failed...)
}

// documents are what a file has.
type documents struct {
	objects         []*unstructured.Unstructured // KEDA's that scale: of other kinds than ScaledObject, too
	authentications convert.Authentications
	other           []string // the kinds of the rest
	list            bool     // it has a list
}

// alone is whether one object is all that was given, so that it was meant.
func (d documents) alone() bool { return len(d.objects) == 1 && len(d.other) == 0 && !d.list }

// others names the kinds of the rest, between two texts; empty without any.
func (d documents) others(before string, after ...string) string {
	if len(d.other) == 0 {
		return ""
	}
	counts := map[string]int{}
	for _, kind := range d.other {
		counts[kind]++
	}
	var words []string
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		words = append(words, fmt.Sprintf("%d of kind %s", counts[kind], kind))
	}
	return before + strings.Join(words, ", ") + strings.Join(after, "")
}

// nameOf is an object's name, with its namespace if it has one.
func nameOf(object *unstructured.Unstructured) string {
	if object.GetNamespace() == "" {
		return object.GetName()
	}
	return object.GetNamespace() + "/" + object.GetName()
}

// readObjects reads a stream of YAML or JSON.
func readObjects(in io.Reader) (read documents, err error) {
	data, err := io.ReadAll(in)
	if err != nil {
		return read, err
	}
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	for number := 1; ; number++ {
		var document json.RawMessage
		err := decoder.Decode(&document)
		switch {
		case errors.Is(err, io.EOF):
			return read, nil
		case err != nil:
			return read, fmt.Errorf("document %d: %w", number, err)
		case len(bytes.TrimSpace(document)) == 0: // only a comment, as helm template prints one for a file without objects
			continue
		}
		object := &unstructured.Unstructured{}
		if err := utiljson.Unmarshal(document, &object.Object); err != nil { // whole numbers stay whole
			return read, fmt.Errorf("document %d is no object: %w", number, err)
		}
		items, list := itemsOf(object)
		read.list = read.list || list
		for _, each := range items {
			read.add(each)
		}
	}
}

func (d *documents) add(object *unstructured.Unstructured) {
	switch {
	case len(object.Object) == 0: // null
	case object.GetKind() == "ScaledObject", object.GetKind() == "ScaledJob":
		d.objects = append(d.objects, object)
	case convert.IsAuthentication(object):
		d.authentications = append(d.authentications, object)
	default:
		d.other = append(d.other, cmp.Or(object.GetKind(), "unknown"))
	}
}

// itemsOf are the objects of a list, as kubectl get prints one, or the object itself. Those of a list of one kind, as the API
// server sends it, are of that.
func itemsOf(object *unstructured.Unstructured) (items []*unstructured.Unstructured, list bool) {
	listed, found, err := unstructured.NestedSlice(object.Object, "items")
	if err != nil || !found {
		return []*unstructured.Unstructured{object}, false
	}
	kind := strings.TrimSuffix(object.GetKind(), "List")
	for _, item := range listed {
		if fields, isObject := item.(map[string]any); isObject {
			each := &unstructured.Unstructured{Object: fields}
			if each.GetKind() == "" && kind != "" {
				each.SetKind(kind)
				each.SetAPIVersion(object.GetAPIVersion())
			}
			items = append(items, each)
		}
	}
	return items, true
}
