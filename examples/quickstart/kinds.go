package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	serializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
)

// An object is any Kubernetes object with a name.
type object interface {
	metav1.Object
	runtime.Object
}

// kinds are those that this program understands. Every other is skipped.
var kinds = map[schema.GroupVersionKind]func() object{
	corev1.SchemeGroupVersion.WithKind("Namespace"):             func() object { return &corev1.Namespace{} },
	corev1.SchemeGroupVersion.WithKind("ServiceAccount"):        func() object { return &corev1.ServiceAccount{} },
	corev1.SchemeGroupVersion.WithKind("Secret"):                func() object { return &corev1.Secret{} },
	corev1.SchemeGroupVersion.WithKind("Pod"):                   func() object { return &corev1.Pod{} },
	corev1.SchemeGroupVersion.WithKind("PodTemplate"):           func() object { return &corev1.PodTemplate{} },
	corev1.SchemeGroupVersion.WithKind("ReplicationController"): func() object { return &corev1.ReplicationController{} },
	appsv1.SchemeGroupVersion.WithKind("Deployment"):            func() object { return &appsv1.Deployment{} },
	appsv1.SchemeGroupVersion.WithKind("StatefulSet"):           func() object { return &appsv1.StatefulSet{} },
	appsv1.SchemeGroupVersion.WithKind("DaemonSet"):             func() object { return &appsv1.DaemonSet{} },
	appsv1.SchemeGroupVersion.WithKind("ReplicaSet"):            func() object { return &appsv1.ReplicaSet{} },
	batchv1.SchemeGroupVersion.WithKind("Job"):                  func() object { return &batchv1.Job{} },
	batchv1.SchemeGroupVersion.WithKind("CronJob"):              func() object { return &batchv1.CronJob{} },
}

// decoder reads JSON as an API server does for kubectl: names are compared with
// their case, and a field that doesn't exist is a mistake.
var decoder = newDecoder()

func newDecoder() runtime.Decoder {
	return serializer.NewSerializerWithOptions(serializer.DefaultMetaFactory, scheme, scheme, serializer.SerializerOptions{Strict: true})
}

// scheme has every kind of the groups that this program reads.
var scheme = newScheme()

func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	utilruntime.Must(corev1.AddToScheme(scheme))
	utilruntime.Must(appsv1.AddToScheme(scheme))
	utilruntime.Must(batchv1.AddToScheme(scheme))
	return scheme
}

// A contentError says what is wrong with a well-formed document, whatever values it will
// have once it is rendered.
type contentError string

func (e contentError) Error() string { return string(e) }

// maxNesting bounds Lists of Lists.
const maxNesting = 10

// readObject makes a document of one JSON value, or as many as a List has
// items. Empty values, such as a document of comments, give none.
func readObject(d document, value []byte) []document {
	if string(value) == "null" {
		return nil
	}
	if !strings.HasPrefix(string(value), "{") {
		d.err = errors.New("not a Kubernetes object: want a mapping with apiVersion and kind")
		if value[0] == '[' {
			d.err = contentError("not a Kubernetes object: got a list, want a mapping with apiVersion and kind")
		}
		return []document{d}
	}
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			Namespace    string `json:"namespace"`
			Name         string `json:"name"`
			GenerateName string `json:"generateName"`
		} `json:"metadata"`
		Items json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(value, &head); err != nil {
		d.err = headError(err)
		return []document{d}
	}
	if head.Kind != "" {
		d.kind.Kind = head.Kind
	}
	if head.APIVersion != "" {
		d.kind = schema.FromAPIVersionAndKind(head.APIVersion, d.kind.Kind)
	}
	d.name = strings.TrimPrefix(head.Metadata.Namespace+"/"+head.Metadata.Name, "/")
	var items []json.RawMessage
	switch {
	case d.kind.Kind == "" || d.kind.Version == "":
		d.err = contentError("not a Kubernetes object: apiVersion and kind are required")
	case strings.HasSuffix(d.kind.Kind, "List") && json.Unmarshal(head.Items, &items) == nil:
		if strings.Count(d.item, ".") == maxNesting {
			d.err = contentError("nested too deeply: a List in a List")
			break
		}
		return readItems(d, items)
	case d.kind == corev1.SchemeGroupVersion.WithKind("List") && head.Items != nil:
		d.err = contentError("the items of a List are no list")
	default:
		readTyped(&d, value)
	}
	return []document{d}
}

// readItems reads the items of a List. Those of a typed one, such as a PodList,
// may leave their kind to the list.
func readItems(list document, items []json.RawMessage) []document {
	var all []document
	for i, item := range items {
		d := document{source: list.source, number: list.number, line: list.line, item: strings.TrimPrefix(fmt.Sprintf("%s.%d", list.item, i+1), ".")}
		if kind := strings.TrimSuffix(list.kind.Kind, "List"); kind != "" {
			d.kind = list.kind.GroupVersion().WithKind(kind)
		}
		all = append(all, readObject(d, item)...)
	}
	return all
}

// readTyped decodes value as the kind of d, if it is one that this program
// understands.
func readTyped(d *document, value []byte) {
	create, ok := kinds[d.kind]
	if ok {
		into := create()
		if _, _, err := decoder.Decode(value, &d.kind, into); err != nil {
			d.err = err
			return
		}
		d.object = into
		return
	}
	known := d.kind.Group == "" || d.kind.Group == kustomizeGroup || d.kind.Group == appsv1.GroupName || d.kind.Group == batchv1.GroupName
	if removed := removedIn[d.kind.GroupVersion().String()]; removed == "" && known && !scheme.Recognizes(d.kind) {
		d.err = contentError(fmt.Sprintf("no kind %q in version %q", d.kind.Kind, d.kind.GroupVersion()))
		return
	}
	if d.unchecked = uncheckedPods(d.kind, value); d.unchecked == "" {
		d.skipped = true
	}
}

// headError says what is wrong with the fields that every object has.
func headError(err error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("field %s: got a JSON %s, want a value of another type", e.Field, e.Value)
	}
	return err
}

// podTemplate returns the pod template inside of object, or nil if it has none.
func podTemplate(o object) *corev1.PodTemplateSpec {
	switch o := o.(type) {
	case *corev1.PodTemplate:
		return &o.Template
	case *corev1.ReplicationController:
		return o.Spec.Template
	case *appsv1.Deployment:
		return &o.Spec.Template
	case *appsv1.StatefulSet:
		return &o.Spec.Template
	case *appsv1.DaemonSet:
		return &o.Spec.Template
	case *appsv1.ReplicaSet:
		return &o.Spec.Template
	case *batchv1.Job:
		return &o.Spec.Template
	case *batchv1.CronJob:
		return &o.Spec.JobTemplate.Spec.Template
	}
	return nil
}
