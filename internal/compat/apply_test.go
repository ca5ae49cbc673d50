package compat

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

const applied = "?fieldManager=red"

// The fake answers server-side apply over HTTP word for word as the API server does, and
// keeps the same managedFields. Not compared: the UID of another object (F04), and texts
// about values of Secrets and what is no configuration at all.
var applyStory = []wireStep{
	{request: "POST /api/v1/namespaces", body: `{"metadata":{"name":"apply"}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a" + applied, body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"x":"1","y":"1"}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a" + applied, body: "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  x: \"1\"\n  y: \"1\"\n"},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a?fieldManager=blue", body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"x":"2","z":"2"}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a?fieldManager=blue", body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"x":"2","y":"2","z":"2"}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a?fieldManager=blue&force=true", body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"x":"2","z":"2"}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a?fieldManager=blue&force=false", body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"y":"2"}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a" + applied, body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"y":"1"}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a?fieldManager=patcher", media: types.MergePatchType, body: `{"data":{"p":"patched"}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a" + applied, body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"p":"1"}}`},
	{request: "PUT /api/v1/namespaces/apply/configmaps/a?fieldManager=putter", body: `{"metadata":{"name":"a","labels":{"a":"b"}},"data":{"q":"1"}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a" + applied + "&dryRun=All", body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"dry":"1"}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/dry" + applied + "&dryRun=All", body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"dry"}}`},
	{request: "GET /api/v1/namespaces/apply/configmaps/a"},

	// Options.
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a", body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a?fieldManager=a%07", body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a?fieldManager=" + strings.Repeat("x", 129), body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a?force=true", media: types.MergePatchType, body: `{}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a" + applied + "&dryRun=Some", body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a" + applied + "&fieldValidation=Some", body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a" + applied, media: "text/plain", body: `{}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a" + applied, media: "application/apply-patch+cbor", body: `{}`},

	// Configurations that don't fit.
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a" + applied, body: `{"kind":"ConfigMap","metadata":{"name":"a"}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a" + applied, body: `{"apiVersion":"v2","kind":"ConfigMap","metadata":{"name":"a"}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a" + applied, body: `{"apiVersion":"v1","metadata":{"name":"a"}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a" + applied, body: `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a" + applied, body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a" + applied, body: `{"apiVersion":"v1","kind":"ConfigMap"}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/new" + applied, body: `{"apiVersion":"v1","kind":"ConfigMap"}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a" + applied, body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"other"}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a" + applied, body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","managedFields":[]}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a" + applied, body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","managedFields":[{"manager":"x"}]}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a" + applied, body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"dta":{"x":"1"}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a" + applied, body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":"x"}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a" + applied, body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"x":1}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a" + applied, body: `[]`, only: "code"},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a" + applied, body: `null`, only: "code"},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a" + applied, body: ``, only: "code"},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a" + applied, body: "a: b: c", only: "code"},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a" + applied, body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":["a"]}`, only: "code"},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a" + applied + "&fieldValidation=Strict", body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"x":"1"},"data":{"x":"2"}}`, only: "code"},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/twice" + applied + "&fieldValidation=Ignore", body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"twice"},"data":{"x":"1"},"data":{"x":"2"}}`},

	// What isn't there, or is another one.
	{request: "PATCH /api/v1/namespaces/nowhere/configmaps/a" + applied, body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/new" + applied, body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"new","uid":"11111111-1111-4111-8111-111111111111"}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/new" + applied, body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"new","resourceVersion":"1"}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/a" + applied, body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","resourceVersion":"1"}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps/Not_A_Name" + applied, body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"Not_A_Name"}}`},
	{request: "PATCH /api/v1/namespaces/apply/configmaps" + applied, body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}`},
	{request: "PATCH /api/v1/namespaces/apply/pods/none/status" + applied, body: `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"none"},"status":{"phase":"Running"}}`},

	// Lists are merged by their keys, and other kinds have other rules.
	{request: "PATCH /api/v1/namespaces/apply/serviceaccounts/builder?fieldManager=a", body: `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"builder"},"secrets":[{"name":"a"}],"imagePullSecrets":[{"name":"a"}]}`},
	{request: "PATCH /api/v1/namespaces/apply/serviceaccounts/builder?fieldManager=b", body: `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"builder"},"secrets":[{"name":"b"}],"imagePullSecrets":[{"name":"b"}]}`},
	{request: "PATCH /api/v1/namespaces/apply/serviceaccounts/builder?fieldManager=a", body: `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"builder"}}`},
	{request: "PATCH /api/v1/namespaces/apply/serviceaccounts/builder?fieldManager=b", body: `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"builder"},"secrets":[{"name":"b"},{"name":"b"}]}`},
	{request: "PATCH /api/v1/namespaces/apply/secrets/s" + applied, body: `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"stringData":{"a":"1"}}`},
	{request: "PATCH /api/v1/namespaces/apply/secrets/s" + applied, body: `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"type":"other"}`},
	{request: "PATCH /api/v1/namespaces/apply/secrets/token" + applied, body: `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"token"},"type":"kubernetes.io/service-account-token"}`},
	{request: "PATCH /api/v1/namespaces/apply/secrets/s" + applied, body: `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"data":"hunter2"}`, only: "code"},
	{request: "PATCH /api/v1/namespaces/apply/secrets/s" + applied, body: `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"dta":"hunter2"}`},
	{request: "PATCH /api/v1/namespaces/apply/secrets/s?fieldManager=blue", body: `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"data":{"a":"Mg=="}}`},
	{request: "PATCH /api/v1/namespaces/applied" + applied, body: `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"applied","labels":{"a":"b"}}}`},
	{request: "PATCH /api/v1/namespaces/applied/status" + applied, body: `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"applied"},"status":{"conditions":[{"type":"A","status":"True"}]}}`},
	{request: "PATCH /api/v1/nodes/n" + applied, body: `{"apiVersion":"v1","kind":"Node","metadata":{"name":"n","labels":{"a":"b"}}}`, only: "code"},
	{request: "PATCH /api/v1/nodes/n/status" + applied, body: `{"apiVersion":"v1","kind":"Node","metadata":{"name":"n"},"status":{"phase":"Running"}}`, only: "code"},
}

// SSA-1, SSA-2, SSA-3, SSA-4, SSA-5, SSA-7, SSA-8, SSA-9, SSA-10, SSA-11, SSA-12, SSA-13,
// SSA-14, SSA-16, SSA-18, SSA-20, SSA-21, SSA-22, SSA-23, SSA-24, SSA-28, SSA-30, SSA-31,
// SSA-32, SSA-33, SSA-35, SSA-36, SSA-41
func TestApplyAnswers(t *testing.T) { compareAnswers(t, applyStory) }
