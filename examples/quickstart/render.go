package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/kubesa/serviceaccount/admission"
)

// fieldsOf returns what o looks like as a manifest: with its kind, and without
// what a server adds for its own bookkeeping.
func fieldsOf(o object) (map[string]any, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil, err
	}
	if fields["kind"] == nil {
		fields["apiVersion"], fields["kind"] = "v1", kindName(o)
	}
	if metadata, ok := fields["metadata"].(map[string]any); ok {
		for _, name := range []string{"creationTimestamp", "resourceVersion", "managedFields", "generation"} {
			delete(metadata, name)
		}
	}
	delete(fields, "status")
	prune(fields)
	return fields, nil
}

// prune removes what says nothing: nulls and the empty maps of zero structs.
func prune(fields map[string]any) {
	for name, value := range fields {
		switch value := value.(type) {
		case nil:
			delete(fields, name)
		case map[string]any:
			// An emptyDir or a securityContext may be empty and yet mean something.
			if len(value) == 0 && (name == "resources" || name == "metadata") {
				delete(fields, name)
			}
			prune(value)
		case []any:
			for _, item := range value {
				if item, ok := item.(map[string]any); ok {
					prune(item)
				}
			}
		}
	}
}

func kindName(o object) string {
	switch o.(type) {
	case *corev1.Namespace:
		return "Namespace"
	case *corev1.ServiceAccount:
		return "ServiceAccount"
	case *corev1.Secret:
		return "Secret"
	case *corev1.Pod:
		return "Pod"
	}
	return o.GetObjectKind().GroupVersionKind().Kind
}

// manifest returns o as YAML. The values of a Secret are shortened.
func manifest(o object) (string, error) {
	fields, err := fieldsOf(o)
	if err != nil {
		return "", err
	}
	secret, isSecret := o.(*corev1.Secret)
	if isSecret {
		delete(fields, "data")
	}
	text, err := yaml.Marshal(fields)
	if err != nil || !isSecret || len(secret.Data) == 0 {
		return string(text), err
	}
	var b strings.Builder
	b.Write(text)
	b.WriteString("data: # decoded and shortened\n")
	for _, name := range slices.Sorted(maps.Keys(secret.Data)) {
		fmt.Fprintf(&b, "  %s: %s\n", name, shortened(name, secret.Data[name]))
	}
	return b.String(), nil
}

// shortened returns of a Secret's value what is no secret.
func shortened(name string, value []byte) string {
	switch name {
	case corev1.ServiceAccountNamespaceKey:
		return string(value)
	case corev1.ServiceAccountTokenKey:
		return redacted(string(value))
	}
	return fmt.Sprintf("(%d bytes)", len(value))
}

// redacted returns the beginning of a token, which is a part of its header and the
// same for all tokens of one key, and its length.
func redacted(token string) string {
	const shown = 20
	if len(token) <= 4*shown {
		return fmt.Sprintf("(%d bytes)", len(token))
	}
	return fmt.Sprintf("%s… (%d bytes)", token[:shown], len(token))
}

// manifestJSON returns o as indented JSON.
func manifestJSON(o object) (string, error) {
	fields, err := fieldsOf(o)
	if err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(fields, "", "  ")
	return string(text) + "\n", err
}

// showPod returns pod in the format of -o. A diff is that from before, by diff; a
// plan explains what was done to it and why.
func showPod(format string, before, pod *corev1.Pod, decision admission.Decision, diff func(before, after string) string) (string, error) {
	switch format {
	case "plan":
		return decision.String() + "\n", nil
	case "yaml":
		return manifest(pod)
	case "json":
		return manifestJSON(pod)
	}
	return diffManifests(before, pod, diff)
}

// diffManifests returns the difference between two objects by diff, or a note that
// there is none.
func diffManifests(before, after object, diff func(before, after string) string) (string, error) {
	old, err := manifest(before)
	if err != nil {
		return "", err
	}
	text, err := manifest(after)
	if err != nil {
		return "", err
	}
	if old == text {
		return "(nothing to change)\n", nil
	}
	return diff(old, text), nil
}
