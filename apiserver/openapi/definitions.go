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
	"encoding"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/util"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// Definitions returns the definitions of all types of scheme that are served, and of
// those that they consist of. What it returns is safe for concurrent use.
func Definitions(scheme *runtime.Scheme) common.GetOpenAPIDefinitions {
	var types []reflect.Type
	kinds := map[reflect.Type][]schema.GroupVersionKind{}
	for kind, typ := range scheme.AllKnownTypes() {
		if kind.Version != runtime.APIVersionInternal {
			types = append(types, typ)
			kinds[typ] = append(kinds[typ], kind)
		}
	}
	for _, o := range []any{
		metav1.APIGroup{}, metav1.APIGroupList{}, metav1.APIResourceList{}, metav1.APIVersions{}, metav1.DeleteOptions{},
		metav1.Patch{}, metav1.Status{}, metav1.Table{}, metav1.WatchEvent{}, version.Info{},
	} {
		types = append(types, reflect.TypeOf(o))
	}
	return func(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
		d := describer{ref: ref, kinds: kinds, all: map[string]common.OpenAPIDefinition{}, open: map[reflect.Type]bool{}}
		for _, typ := range types {
			d.define(typ)
		}
		return d.all
	}
}

// A describer collects definitions.
type describer struct {
	ref   common.ReferenceCallback
	kinds map[reflect.Type][]schema.GroupVersionKind
	all   map[string]common.OpenAPIDefinition
	open  map[reflect.Type]bool // named types being described that aren't structs
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
	if own, ok := primitive(typ); ok {
		c.schema = own
	} else {
		c.schema.Type = spec.StringOrArray{"object"}
		c.addFields(typ)
	}
	c.schema.Description = c.docs[""]
	c.addKinds(typ)
	definition := common.OpenAPIDefinition{Schema: c.schema}
	if several, ok := reflect.New(typ).Interface().(interface{ OpenAPIV3OneOfTypes() []string }); ok {
		// OpenAPI 2 has no words for a value of several types.
		definition.Schema.Type, definition.Schema.OneOf = nil, common.GenerateOpenAPIV3OneOfSchema(several.OpenAPIV3OneOfTypes())
		definition = common.EmbedOpenAPIDefinitionIntoV2Extension(definition, common.OpenAPIDefinition{Schema: c.schema})
	}
	definition.Dependencies = slices.Sorted(maps.Keys(c.dependencies))
	d.all[name] = definition
}

// addKinds says which kinds have the type, which kubectl explain looks for. Types with a
// model name of their own get that from the server's namer, which doesn't find the others.
func (c *composer) addKinds(typ reflect.Type) {
	if _, ok := reflect.New(typ).Interface().(util.OpenAPIModelNamer); ok || len(c.kinds[typ]) == 0 {
		return
	}
	kinds := slices.SortedFunc(slices.Values(c.kinds[typ]), func(a, b schema.GroupVersionKind) int {
		return strings.Compare(a.String(), b.String())
	})
	list := make([]any, len(kinds))
	for i, kind := range kinds {
		list[i] = map[string]any{"group": kind.Group, "version": kind.Version, "kind": kind.Kind}
	}
	c.schema.AddExtension("x-kubernetes-group-version-kind", list)
}

// docsOf returns the descriptions of a type, "", and of its fields.
func docsOf(typ reflect.Type) map[string]string {
	if documented, ok := reflect.New(typ).Interface().(interface{ SwaggerDoc() map[string]string }); ok {
		return documented.SwaggerDoc()
	}
	return nil
}

// primitive returns the schema of a type that is encoded in a way of its own, such as a
// time. One that doesn't say in which is text, or may be anything.
func primitive(typ reflect.Type) (spec.Schema, bool) {
	var s spec.Schema
	value := reflect.New(typ).Interface()
	if own, ok := value.(interface{ OpenAPISchemaType() []string }); ok {
		if format, ok := value.(interface{ OpenAPISchemaFormat() string }); ok {
			s.Format = format.OpenAPISchemaFormat()
		}
		s.Type = own.OpenAPISchemaType()
		return s, true
	}
	if _, ok := value.(json.Marshaler); ok {
		return s, !raw(typ)
	}
	if _, ok := value.(encoding.TextMarshaler); ok {
		s.Type = spec.StringOrArray{"string"}
		return s, true
	}
	return s, false
}

// raw reports whether typ holds the JSON of an object, none of whose fields is encoded,
// as a RawExtension.
func raw(typ reflect.Type) bool {
	for i := range typ.NumField() {
		if typ.Field(i).Tag.Get("json") != "-" {
			return false
		}
	}
	return true
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
		inner := field.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		switch {
		case field.Tag.Get("json") == "-":
			continue
		case name == "" && field.Anonymous && inner.Kind() == reflect.Struct:
			c.addFields(inner) // those of an unexported type too
			continue
		case !field.IsExported():
			continue
		}
		if name == "" {
			name = field.Name
		}
		s := c.schemaOf(field.Type)
		if strings.Contains(options, "string") && len(s.Type) > 0 && s.Type[0] != "array" && s.Type[0] != "object" {
			s.Type, s.Format = spec.StringOrArray{"string"}, ""
		}
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
	if c.open[typ] { // a list or map of itself, which has no definition to refer to
		return s
	}
	if typ.Name() != "" && typ.Kind() != reflect.Struct {
		c.open[typ] = true
		defer delete(c.open, typ)
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
