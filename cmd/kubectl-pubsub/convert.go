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
applied. If the file has the TriggerAuthentication too, its Secrets are taken over.`,
		Example: `  kubectl pubsub convert -f scaledobject.yaml > converted.yaml
  kubectl get scaledobject mailer -o yaml | kubectl pubsub convert -f -`,
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
	for i, object := range objects {
		result, err := convert.ScaledObject(object, authentications, c.options)
		if err != nil {
			return fmt.Errorf("ScaledObject %s: %w", object.GetName(), err)
		}
		data, err := yaml.Marshal(result.Object.Object)
		if err != nil {
			return err
		}
		if i > 0 {
			fmt.Fprintln(command.OutOrStdout(), "---")
		}
		fmt.Fprint(command.OutOrStdout(), string(data))
		for _, note := range result.Notes {
			fmt.Fprintf(command.ErrOrStderr(), "%s: %s\n", object.GetName(), note)
		}
	}
	return nil
}

// readObjects are the ScaledObjects of a stream of YAML or JSON, and the TriggerAuthentications by name.
func readObjects(in io.Reader) (objects []*unstructured.Unstructured, authentications map[string]*unstructured.Unstructured, err error) {
	authentications = map[string]*unstructured.Unstructured{}
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
			switch each.GetKind() {
			case "ScaledObject", "ScaledJob":
				objects = append(objects, each)
			case "TriggerAuthentication", "ClusterTriggerAuthentication":
				authentications[each.GetName()] = each
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
