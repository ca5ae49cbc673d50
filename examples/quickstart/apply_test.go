package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubesa/serviceaccount/keys"
)

func testPlane(t *testing.T) *plane {
	t.Helper()
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := keys.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	set, err := keys.NewSet(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPlane(options{}, signer, set)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// reviewed returns the outcomes of documents, with the reasons of those that are denied.
func reviewed(t *testing.T, text string) []string {
	t.Helper()
	findings, err := testPlane(t).review(t.Context(), readDocuments("in", strings.NewReader(text)), "default")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range findings {
		line := string(f.outcome) + " " + f.kind.Kind + " " + f.name
		if f.outcome == denied || f.outcome == unchecked {
			line += ": " + f.reason
		}
		all = append(all, line)
	}
	return all
}

// What comes again is unchanged or configured, in the words of kubectl apply.
func TestApplyAgain(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"identical", `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: builder, namespace: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {namespace: shop, name: builder}
---
apiVersion: v1
kind: Secret
metadata: {name: s, namespace: shop}
stringData: {a: b}
---
apiVersion: v1
kind: Secret
metadata: {name: s, namespace: shop}
type: Opaque
data: {a: Yg==}
`, []string{"created Namespace shop", "unchanged Namespace shop", "created ServiceAccount shop/builder", "unchanged ServiceAccount shop/builder", "created Secret shop/s", "unchanged Secret shop/s"}},
		{"different", `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {a: b}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: builder, namespace: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: builder, namespace: shop}
imagePullSecrets: [{name: x}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: builder, namespace: shop}
`, []string{"created Namespace shop", "configured Namespace shop", "created ServiceAccount shop/builder", "configured ServiceAccount shop/builder", "configured ServiceAccount shop/builder"}},
		{"the type of a Secret, and one that is immutable", `
apiVersion: v1
kind: Secret
metadata: {name: s}
immutable: true
---
apiVersion: v1
kind: Secret
metadata: {name: s}
type: other
---
apiVersion: v1
kind: Secret
metadata: {name: s}
immutable: true
stringData: {a: b}
`, []string{"created Secret default/s",
			`denied Secret default/s: Secret "s" is invalid: [type: Invalid value: "other": field is immutable, immutable: Forbidden: field is immutable when ` + "`immutable`" + ` is set]`,
			`denied Secret default/s: Secret "s" is invalid: data: Forbidden: field is immutable when ` + "`immutable`" + ` is set`}},
		{"namespaces that every cluster has", `
apiVersion: v1
kind: Namespace
metadata: {name: kube-system}
---
apiVersion: v1
kind: Namespace
metadata: {name: default}
`, []string{"created Namespace kube-system", "created Namespace default"}},
		{"copies of live objects", `
apiVersion: v1
kind: ServiceAccount
metadata: {name: builder, uid: a-1, resourceVersion: "7", creationTimestamp: "2026-01-01T00:00:00Z"}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: builder, uid: a-1, resourceVersion: "9", creationTimestamp: "2026-01-01T00:00:00Z"}
`, []string{"created ServiceAccount default/builder", "unchanged ServiceAccount default/builder"}},
		{"generated names", `
apiVersion: v1
kind: Secret
metadata: {generateName: s-}
---
apiVersion: v1
kind: Secret
metadata: {generateName: s-}
`, []string{"created Secret default/s-", "created Secret default/s-"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, reviewed(t, tt.text)); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
		})
	}
}

// What the API server doesn't accept is denied, also where admission has no objection.
func TestInvalid(t *testing.T) {
	workload := func(kind, version, meta, spec string) string {
		return "apiVersion: " + version + "\nkind: " + kind + "\nmetadata: " + meta + "\nspec: " + spec + "\n"
	}
	const good = "{containers: [{name: c, image: i}]}"
	tests := []struct{ name, text, want string }{
		{"name of a pod", workload("Pod", "v1", "{name: No_Name}", good), `metadata.name: Invalid value: "No_Name"`},
		{"no name", workload("Pod", "v1", "{}", good), "metadata.name: Required value"},
		{"namespace of a pod", workload("Pod", "v1", "{name: p, namespace: N_O}", good), `metadata.namespace: Invalid value: "N_O"`},
		{"label", workload("Pod", "v1", "{name: p, labels: {a: '-'}}", good), "metadata.labels: Invalid value"},
		{"container without a name", workload("Pod", "v1", "{name: p}", "{containers: [{image: i}]}"), "spec.containers[0].name: Required value"},
		{"no containers", workload("Pod", "v1", "{name: p}", "{}"), "spec.containers: Required value"},
		{"account", workload("Pod", "v1", "{name: p}", "{serviceAccountName: ../x, containers: [{name: c, image: i}]}"), "../x"},
		{"name of a Deployment", workload("Deployment", "apps/v1", "{name: a.b/c}", "{template: {spec: "+good+"}}"), `Deployment.apps "a.b/c" is invalid`},
		{"name of a CronJob", workload("CronJob", "batch/v1", "{name: "+strings.Repeat("x", 53)+"}", "{jobTemplate: {spec: {template: {spec: "+good+"}}}}"), "no more than 52 characters"},
		{"label of a template", workload("DaemonSet", "apps/v1", "{name: d}", "{template: {metadata: {labels: {'/': b}}, spec: "+good+"}}"), `DaemonSet.apps "d" is invalid: [spec.template.metadata.labels: Invalid value`},
		{"container of a template", workload("CronJob", "batch/v1", "{name: c}", "{jobTemplate: {spec: {template: {spec: {containers: [{image: i}, {name: d}]}}}}}"),
			`CronJob.batch "c" is invalid: [spec.jobTemplate.spec.template.spec.containers[0].name: Required value, spec.jobTemplate.spec.template.spec.containers[1].image: Required value]`},
		{"volume of a PodTemplate", "apiVersion: v1\nkind: PodTemplate\nmetadata: {name: p}\ntemplate: {spec: {containers: [{name: c, image: i, volumeMounts: [{name: v, mountPath: /v}]}]}}\n",
			`PodTemplate "p" is invalid: template.spec.containers[0].volumeMounts[0].name: Not found: "v"`},
		{"name of an account", "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: A}\n", `metadata.name: Invalid value: "A"`},
		{"name of a Namespace", "apiVersion: v1\nkind: Namespace\nmetadata: {name: a.b}\n", `metadata.name: Invalid value: "a.b"`},
		{"namespace of a Secret", "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: ../x}\n", `metadata.namespace: Invalid value: "../x"`},
		{"a template that isn't there", "apiVersion: v1\nkind: ReplicationController\nmetadata: {name: r}\nspec: {}\n", "it has no pod template"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := reviewed(t, tt.text)
			if last := got[len(got)-1]; !strings.HasPrefix(last, "denied ") || !strings.Contains(last, tt.want) || strings.Contains(last, "fake:") {
				t.Errorf("got %q, want a denial with %q", got, tt.want)
			}
		})
	}
	claims := workload("StatefulSet", "apps/v1", "{name: s}", "{volumeClaimTemplates: [{metadata: {name: data}}], template: {spec: {containers: [{name: c, image: i, volumeMounts: [{name: data, mountPath: /d}]}]}}}")
	if got := reviewed(t, claims); len(got) != 1 || got[0] != "admitted StatefulSet default/s" {
		t.Errorf("got %q, want a StatefulSet that mounts its claim to be admitted", got)
	}
}

// Pods that aren't checked are told, and fail with -strict-kinds.
func TestUnchecked(t *testing.T) {
	const spec = "{template: {spec: {containers: [{name: c, image: i}]}}}"
	tests := []struct{ version, kind, spec, want string }{
		{"extensions/v1beta1", "Deployment", spec, "extensions/v1beta1 was removed in Kubernetes v1.16, use apps/v1"},
		{"extensions/v1beta1", "DaemonSet", "{}", "extensions/v1beta1 was removed in Kubernetes v1.16, use apps/v1"},
		{"extensions/v1beta1", "Ingress", "{}", ""},
		{"apps/v1beta1", "StatefulSet", spec, "apps/v1beta1 was removed in Kubernetes v1.16, use apps/v1"},
		{"apps/v1beta2", "ReplicaSet", spec, "apps/v1beta2 was removed in Kubernetes v1.16, use apps/v1"},
		{"batch/v1beta1", "CronJob", "{jobTemplate: {spec: " + spec + "}}", "batch/v1beta1 was removed in Kubernetes v1.25, use batch/v1"},
		{"batch/v2alpha1", "CronJob", "{}", "batch/v2alpha1 was removed in Kubernetes v1.21, use batch/v1"},
		{"argoproj.io/v1alpha1", "Rollout", spec, "has a pod in spec.template.spec, but this program doesn't know what argoproj.io/v1alpha1 Rollout does with it"},
		{"argoproj.io/v1alpha1", "Workflow", "{templates: [{name: a, steps: []}, {name: b, container: {image: i}}]}", "has a pod in spec.templates[1]"},
		{"serving.knative.dev/v1", "Service", "{template: {spec: {containers: [{image: i}]}}}", "has a pod in spec.template.spec"},
		{"tekton.dev/v1", "Task", "{steps: [{name: a, image: i}]}", "has a pod in spec,"},
		{"sparkoperator.k8s.io/v1beta2", "SparkApplication", "{driver: {serviceAccount: spark}}", `names the ServiceAccount "spark" in spec.driver.serviceAccount, but`},
		{"monitoring.coreos.com/v1", "Prometheus", "{serviceAccountName: p}", `names the ServiceAccount "p" in spec.serviceAccountName, but`},
		{"example.com/v1", "Config", "{image: x, serviceAccountName: ''}", ""},
		{"apiextensions.k8s.io/v1", "CustomResourceDefinition", "{properties: {serviceAccountName: {type: string}}}", ""},
		{"apiextensions.k8s.io/v1", "CustomResourceDefinition", "{properties: {containers: {type: array, items: {properties: {image: {type: string}}}}}}", ""},
	}
	for _, tt := range tests {
		text := "apiVersion: " + tt.version + "\nkind: " + tt.kind + "\nmetadata: {name: x}\nspec: " + tt.spec + "\n"
		got := reviewed(t, text)
		want := "skipped " + tt.kind + " x"
		if tt.want != "" {
			want = "unchecked " + tt.kind + " x: " + tt.want
		}
		if len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("got %q, want %q", got, want)
		}
		status, _, _ := quickstart(text, "-f", "-")
		strict, out, _ := quickstart(text, "-strict-kinds", "-f", "-")
		if failed := tt.want != ""; status != exitGood || (strict != exitGood) != failed {
			t.Errorf("%s: exit status %d, with -strict-kinds %d: %s", want, status, strict, out)
		}
	}
}

// A pipe that lies in a folder isn't waited for.
func TestFolderWithAPipe(t *testing.T) {
	folder := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(folder, "pipe.yaml"), 0o600); err != nil {
		t.Skip(err)
	}
	if err := os.Symlink(folder, filepath.Join(folder, "loop.yaml")); err != nil {
		t.Fatal(err)
	}
	done := make(chan []document, 1)
	go func() { done <- readManifests([]string{folder}, strings.NewReader("")) }()
	select {
	case docs := <-done:
		if len(docs) != 2 || docs[0].err == nil || docs[1].err == nil {
			t.Errorf("got %q, want two errors", summaries(docs))
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the folder is still being read")
	}
}
