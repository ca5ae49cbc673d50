package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// removedIn says which Kubernetes removed the versions that had kinds with pods, and
// what came in their place.
var removedIn = map[string]string{
	"extensions/v1beta1": "v1.16, use apps/v1",
	"apps/v1beta1":       "v1.16, use apps/v1",
	"apps/v1beta2":       "v1.16, use apps/v1",
	"batch/v1beta1":      "v1.25, use batch/v1",
	"batch/v2alpha1":     "v1.21, use batch/v1",
	"v1beta1":            "v1.0, use v1",
	"v1beta2":            "v1.0, use v1",
	"v1beta3":            "v1.0, use v1",
}

// uncheckedPods says why nothing is known of the pods of a kind that this program
// doesn't read: empty if it has none. Where they are is guessed: a pod is what has
// containers, or the name of a service account.
func uncheckedPods(kind schema.GroupVersionKind, value []byte) string {
	var object map[string]any
	if json.Unmarshal(value, &object) != nil {
		return ""
	}
	delete(object, "status")
	where := podPath(object, "", 0)
	if removed := removedIn[kind.GroupVersion().String()]; removed != "" && (where != "" || isWorkload(kind.Kind)) {
		return fmt.Sprintf("%s was removed in Kubernetes %s", kind.GroupVersion(), removed)
	}
	if where == "" {
		return ""
	}
	return fmt.Sprintf("%s, but this program doesn't know what %s %s does with it", where, kind.GroupVersion(), kind.Kind)
}

// isWorkload reports whether a kind that this program reads has this name.
func isWorkload(name string) bool {
	for kind, create := range kinds {
		if kind.Kind == name {
			return isPod(create()) || podTemplate(create()) != nil || name == "ReplicationController"
		}
	}
	return false
}

// maxPodDepth bounds how deep pods are looked for.
const maxPodDepth = 12

// podPath says where the first pod below value is: empty if there is none.
func podPath(value any, path string, depth int) string {
	if depth > maxPodDepth {
		return ""
	}
	switch value := value.(type) {
	case map[string]any:
		if isPodSpec(value) {
			return "has a pod in " + strings.TrimPrefix(path, ".")
		}
		for _, name := range []string{"serviceAccountName", "serviceAccount"} {
			if account, ok := value[name].(string); ok && account != "" {
				return fmt.Sprintf("names the ServiceAccount %q in %s", account, strings.TrimPrefix(path+"."+name, "."))
			}
		}
		for _, name := range slices.Sorted(maps.Keys(value)) {
			if found := podPath(value[name], path+"."+name, depth+1); found != "" {
				return found
			}
		}
	case []any:
		for i, item := range value {
			if found := podPath(item, fmt.Sprintf("%s[%d]", path, i), depth+1); found != "" {
				return found
			}
		}
	}
	return ""
}

// isPodSpec reports whether a mapping has containers with images, or one of them, as in
// the templates of workflows and the steps of tasks. The schema of a custom resource has none.
func isPodSpec(fields map[string]any) bool {
	for _, name := range []string{"containers", "container", "initContainers", "sidecars", "steps"} {
		containers, ok := fields[name].([]any)
		if !ok {
			containers = []any{fields[name]}
		}
		for _, c := range containers {
			container, ok := c.(map[string]any)
			if !ok {
				continue
			}
			if _, ok := container["image"].(string); ok {
				return true
			}
		}
	}
	return false
}
