package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

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
those that can't are told: then the exit code is 1. Those that read no Redis are left out.`,
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
	objects, authentications, err := readObjects(in)
	if err != nil {
		return fmt.Errorf("reading %s: %w", c.file, err)
	}
	if len(objects) == 0 {
		return fmt.Errorf("%s has no ScaledObject", c.file)
	}
	return c.print(command, objects, authentications)
}

// print prints all that can be converted. What can't be is told of each; what reads no Redis is only noted beside others.
func (c *converting) print(command *cobra.Command, objects []*unstructured.Unstructured, authentications convert.Authentications) error {
	var failed, none []error
	printed := 0
	for _, object := range objects {
		name := nameOf(object)
		result, err := convert.ScaledObject(object, authentications, c.options)
		switch {
		case errors.Is(err, convert.ErrNoRedis):
			none = append(none, fmt.Errorf("%s %s: %w", object.GetKind(), name, err))
			continue
		case err != nil:
			failed = append(failed, fmt.Errorf("%s %s: %w", object.GetKind(), name, err))
			continue
		}
		data, err := yaml.Marshal(result.Object.Object)
		if err != nil {
			return err
		}
		if printed > 0 {
			fmt.Fprintln(command.OutOrStdout(), "---")
		}
		printed++
		fmt.Fprint(command.OutOrStdout(), string(data))
		for _, note := range result.Notes {
			fmt.Fprintf(command.ErrOrStderr(), "%s: %s\n", name, note)
		}
	}
	if printed == 0 {
		return errors.Join(append(failed, none...)...)
	}
	for _, reason := range none {
		fmt.Fprintf(command.ErrOrStderr(), "left out: %s\n", reason)
	}
	return errors.Join(failed...)
}

// nameOf is an object's name, with its namespace if it has one.
func nameOf(object *unstructured.Unstructured) string {
	if object.GetNamespace() == "" {
		return object.GetName()
	}
	return object.GetNamespace() + "/" + object.GetName()
}

// readObjects are the ScaledObjects of a stream of YAML or JSON, and the authentications.
func readObjects(in io.Reader) (objects []*unstructured.Unstructured, authentications convert.Authentications, err error) {
	data, err := io.ReadAll(in)
	if err != nil {
		return nil, nil, err
	}
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	for {
		var document json.RawMessage
		err := decoder.Decode(&document)
		switch {
		case errors.Is(err, io.EOF):
			return objects, authentications, nil
		case err != nil:
			return nil, nil, err
		}
		object := &unstructured.Unstructured{}
		if err := utiljson.Unmarshal(document, &object.Object); err != nil { // whole numbers stay whole
			return nil, nil, err
		}
		for _, each := range itemsOf(object) {
			switch {
			case each.GetKind() == "ScaledObject", each.GetKind() == "ScaledJob":
				objects = append(objects, each)
			case convert.IsAuthentication(each):
				authentications = append(authentications, each)
			}
		}
	}
}

// itemsOf are the objects of a list, as kubectl get prints one, or the object itself.
func itemsOf(object *unstructured.Unstructured) []*unstructured.Unstructured {
	list, found, err := unstructured.NestedSlice(object.Object, "items")
	if err != nil || !found {
		return []*unstructured.Unstructured{object}
	}
	var items []*unstructured.Unstructured
	for _, item := range list {
		if fields, isObject := item.(map[string]any); isObject {
			items = append(items, &unstructured.Unstructured{Object: fields})
		}
	}
	return items
}
