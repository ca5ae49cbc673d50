// Package openapi describes the types of a scheme for OpenAPI, from what Go knows of
// them: k8s.io/apiserver needs definitions of all types that it serves, which are
// usually generated, and those of k8s.io/api can't be imported.
//
//	config.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(openapi.Definitions(scheme), namer)
//
// Descriptions are those of the types' SwaggerDoc methods. A list is merged by key in a
// server-side apply if its struct tags say so; what only comments say, such as defaults
// and validation, isn't known: generate definitions where that matters.
package openapi

import (
	"reflect"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/util"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// Definitions returns the definitions of all types of scheme that are served, and of
// those that they consist of. What it returns is safe for concurrent use.
func Definitions(scheme *runtime.Scheme) common.GetOpenAPIDefinitions {
	var types []reflect.Type
	for kind, typ := range scheme.AllKnownTypes() {
		if kind.Version != runtime.APIVersionInternal {
			types = append(types, typ)
		}
	}
	for _, o := range []any{
		metav1.APIGroup{}, metav1.APIGroupList{}, metav1.APIResourceList{}, metav1.APIVersions{}, metav1.DeleteOptions{},
		metav1.Patch{}, metav1.Status{}, metav1.Table{}, metav1.WatchEvent{}, version.Info{},
	} {
		types = append(types, reflect.TypeOf(o))
	}
	return func(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
		d := describer{ref: ref, all: map[string]common.OpenAPIDefinition{}}
		for _, typ := range types {
			d.define(typ)
		}
		return d.all
	}
}

// A describer collects definitions.
type describer struct {
	ref common.ReferenceCallback
	all map[string]common.OpenAPIDefinition
}

// nameOf returns the name under which the definition of typ is looked up.
func nameOf(typ reflect.Type) string {
	return util.GetCanonicalTypeName(reflect.New(typ).Interface())
}

// define adds the definition of a struct type, and of those below it.
func (d *describer) define(typ reflect.Type) {
	name := nameOf(typ)
	if _, ok := d.all[name]; ok || typ.Kind() != reflect.Struct {
		return
	}
	d.all[name] = common.OpenAPIDefinition{} // for types that contain themselves
	c := composer{describer: d, docs: docsOf(typ), dependencies: map[string]bool{}}
	c.schema.Type = spec.StringOrArray{"object"}
	if own, ok := primitive(typ); ok {
		c.schema = own
	} else {
		c.addFields(typ)
	}
	c.schema.Description = c.docs[""]
	definition := common.OpenAPIDefinition{Schema: c.schema}
	for dependency := range c.dependencies {
		definition.Dependencies = append(definition.Dependencies, dependency)
	}
	d.all[name] = definition
}

// docsOf returns the descriptions of a type, "", and of its fields.
func docsOf(typ reflect.Type) map[string]string {
	if documented, ok := reflect.New(typ).Interface().(interface{ SwaggerDoc() map[string]string }); ok {
		return documented.SwaggerDoc()
	}
	return nil
}

// primitive returns the schema of a type that is encoded in a way of its own, such as a
// time.
func primitive(typ reflect.Type) (spec.Schema, bool) {
	var s spec.Schema
	own, ok := reflect.New(typ).Interface().(interface{ OpenAPISchemaType() []string })
	if !ok {
		return s, false
	}
	if format, ok := own.(interface{ OpenAPISchemaFormat() string }); ok {
		s.Format = format.OpenAPISchemaFormat()
	}
	s.Type = own.OpenAPISchemaType()
	return s, true
}

// A composer composes the schema of one struct type.
type composer struct {
	*describer
	schema       spec.Schema
	docs         map[string]string
	dependencies map[string]bool
}

func (c *composer) addFields(typ reflect.Type) {
	for i := range typ.NumField() {
		field := typ.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" || !field.IsExported() {
			continue
		}
		if name == "" && field.Anonymous {
			inner := field.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			c.addFields(inner)
			continue
		}
		if name == "" {
			name = field.Name
		}
		s := c.schemaOf(field.Type)
		s.Description = c.docs[name]
		addMerge(&s, field)
		if c.schema.Properties == nil {
			c.schema.Properties = map[string]spec.Schema{}
		}
		c.schema.Properties[name] = s
		if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") {
			c.schema.Required = append(c.schema.Required, name)
		}
	}
}

// addMerge says how a list is merged. Items with a protocol have it as a second key,
// which may be absent: such a list is one value.
func addMerge(s *spec.Schema, field reflect.StructField) {
	strategy, key := field.Tag.Get("patchStrategy"), field.Tag.Get("patchMergeKey")
	if strategy != "" {
		s.AddExtension("x-kubernetes-patch-strategy", strategy)
	}
	if key == "" || field.Type.Kind() != reflect.Slice {
		return
	}
	s.AddExtension("x-kubernetes-patch-merge-key", key)
	if _, ok := field.Type.Elem().FieldByName("Protocol"); !ok {
		s.AddExtension("x-kubernetes-list-type", "map")
		s.AddExtension("x-kubernetes-list-map-keys", []any{key})
	}
}

// schemaOf returns the schema of a value of typ.
func (c *composer) schemaOf(typ reflect.Type) spec.Schema {
	var s spec.Schema
	set := func(t, format string) spec.Schema {
		s.Type, s.Format = spec.StringOrArray{t}, format
		return s
	}
	switch typ.Kind() {
	case reflect.Pointer:
		return c.schemaOf(typ.Elem())
	case reflect.Struct:
		c.define(typ)
		name := nameOf(typ)
		c.dependencies[name] = true
		s.Ref = c.ref(name)
		return s
	case reflect.Slice, reflect.Array:
		if typ.Elem().Kind() == reflect.Uint8 {
			return set("string", "byte")
		}
		items := c.schemaOf(typ.Elem())
		s.Items = &spec.SchemaOrArray{Schema: &items}
		return set("array", "")
	case reflect.Map:
		values := c.schemaOf(typ.Elem())
		s.AdditionalProperties = &spec.SchemaOrBool{Allows: true, Schema: &values}
		return set("object", "")
	case reflect.Bool:
		return set("boolean", "")
	case reflect.Int64, reflect.Int, reflect.Uint64, reflect.Uint, reflect.Uint32:
		return set("integer", "int64")
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Uint8, reflect.Uint16:
		return set("integer", "int32")
	case reflect.Float32, reflect.Float64:
		return set("number", "double")
	case reflect.String:
		return set("string", "")
	}
	return s // anything, such as an interface
}
