package clustertest

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func aboutSecrets() []Promise {
	return []Promise{
		promise("a token Secret without the name of its account is Invalid", tokenSecretNeedsAccount),               // ADM-232
		promise("a token Secret needs neither data nor the account's UID, nor the account", tokenSecretNeedsNoMore), // ADM-232
		promise("the type of a Secret can't be changed", secretTypeIsImmutable),                                     // ADM-232
		promise("a Secret without a type is Opaque, and stringData lands in data", stringData),
		promise("a Secret of a type of Kubernetes needs the keys of the type", secretTypesNeedKeys),
		promise("a bad key in data is Invalid", dataKeys),
		promise("more than 1 MiB of data is Invalid", dataLimit),
		promise("an empty value is kept", emptyValues),
		promise("an immutable Secret keeps its data and can be deleted", immutableSecret),
		promise("an immutable ConfigMap keeps its data and can be deleted", immutableConfigMap),
		promise("an account's secrets are reduced to their names", accountSecrets), // ADM-233
	}
}

func tokenSecretNeedsAccount(r *room) {
	const path = "metadata.annotations[kubernetes.io/service-account.name]"
	for _, annotations := range []map[string]string{nil, {corev1.ServiceAccountNameKey: ""}} {
		secret := r.tokenSecret("s", "")
		secret.Annotations = annotations
		_, err := r.cluster.CreateSecret(r.ctx, secret)
		r.invalid(fmt.Sprintf("create of a token Secret with annotations %v", annotations), err, "Secret", "s", metav1.CauseTypeFieldValueRequired, path)
	}
	secret := create(r, Cluster.CreateSecret, r.tokenSecret("s", "builder"))
	secret.Annotations = nil
	_, err := r.cluster.UpdateSecret(r.ctx, secret)
	r.invalid("update of a token Secret without annotations", err, "Secret", "s", metav1.CauseTypeFieldValueRequired, path)
}

func tokenSecretNeedsNoMore(r *room) {
	got := create(r, Cluster.CreateSecret, r.tokenSecret("s", "nobody"))
	if len(got.Annotations) != 1 || got.Annotations[corev1.ServiceAccountNameKey] != "nobody" || got.Type != corev1.SecretTypeServiceAccountToken || len(got.Data) != 0 {
		r.failf("a token Secret was created with annotations %v, type %s and %d keys", got.Annotations, got.Type, len(got.Data))
	}
}

func secretTypeIsImmutable(r *room) {
	secret := create(r, Cluster.CreateSecret, r.secret("s"))
	for _, other := range []corev1.SecretType{"example.com/other", corev1.SecretTypeServiceAccountToken} {
		changed := secret.DeepCopy()
		changed.Type = other
		changed.Annotations = map[string]string{corev1.ServiceAccountNameKey: "builder"}
		_, err := r.cluster.UpdateSecret(r.ctx, changed)
		r.invalid(fmt.Sprintf("update of the type of a Secret to %s", other), err, "Secret", "s", metav1.CauseTypeFieldValueInvalid, "type")
	}
	kindOf("secrets").unchanged(r, "a rejected update", secret)
}

func stringData(r *room) {
	secret := r.secret("s")
	secret.StringData = map[string]string{"key": "from stringData", "other": "text"}
	create(r, Cluster.CreateSecret, secret)
	got := get(r, Cluster.GetSecret, "s")
	if got.Type != corev1.SecretTypeOpaque {
		r.failf("a Secret without a type has type %q, want Opaque", got.Type)
	}
	if len(got.Data) != 2 || string(got.Data["key"]) != "from stringData" || string(got.Data["other"]) != "text" || got.StringData != nil {
		r.failf("stringData with two keys, one of them in data too, gave %d keys in data and %d in stringData, want 2 and 0, and stringData wins", len(got.Data), len(got.StringData))
	}
	got.StringData = map[string]string{"more": "text"}
	update(r, Cluster.UpdateSecret, got)
	if got := get(r, Cluster.GetSecret, "s"); len(got.Data) != 3 || string(got.Data["more"]) != "text" {
		r.failf("an update with stringData gave %d keys, want 3", len(got.Data))
	}
}

func secretTypesNeedKeys(r *room) {
	for _, tt := range []struct {
		secretType corev1.SecretType
		missing    string
		good       map[string][]byte
	}{
		{corev1.SecretTypeDockercfg, corev1.DockerConfigKey, map[string][]byte{corev1.DockerConfigKey: []byte("{}")}},
		{corev1.SecretTypeDockerConfigJson, corev1.DockerConfigJsonKey, map[string][]byte{corev1.DockerConfigJsonKey: []byte("{}")}},
		{corev1.SecretTypeBasicAuth, corev1.BasicAuthUsernameKey, map[string][]byte{corev1.BasicAuthPasswordKey: []byte("x")}},
		{corev1.SecretTypeSSHAuth, corev1.SSHAuthPrivateKey, map[string][]byte{corev1.SSHAuthPrivateKey: []byte("x")}},
		{corev1.SecretTypeTLS, corev1.TLSCertKey, map[string][]byte{corev1.TLSCertKey: nil, corev1.TLSPrivateKeyKey: nil}},
	} {
		secret := r.secret("s")
		secret.Type = tt.secretType
		_, err := r.cluster.CreateSecret(r.ctx, secret)
		r.invalid("create of a Secret of type "+string(tt.secretType)+" without its keys", err, "Secret", "s", metav1.CauseTypeFieldValueRequired, "data["+tt.missing+"]")
		secret.Data, secret.Name = tt.good, "typed"
		create(r, Cluster.CreateSecret, secret)
		r.done("delete", r.cluster.DeleteSecret(r.ctx, r.namespace, "typed", metav1.DeleteOptions{}))
	}
}

func dataKeys(r *room) {
	for _, key := range []string{"a/b", "a b", "..", ""} {
		path := "data[" + key + "]"
		secret, configMap := r.secret("s"), r.configMap("c")
		secret.Data[key], configMap.Data[key] = nil, ""
		_, err := r.cluster.CreateSecret(r.ctx, secret)
		r.invalid(fmt.Sprintf("create of a Secret with the key %q", key), err, "Secret", "s", metav1.CauseTypeFieldValueInvalid, path)
		_, err = r.cluster.CreateConfigMap(r.ctx, configMap)
		r.invalid(fmt.Sprintf("create of a ConfigMap with the key %q", key), err, "ConfigMap", "c", metav1.CauseTypeFieldValueInvalid, path)
	}
}

func dataLimit(r *room) {
	secret, configMap := r.secret("s"), r.configMap("c")
	secret.Data = map[string][]byte{"key": slices.Repeat([]byte("x"), corev1.MaxSecretSize)}
	configMap.Data = map[string]string{"key": strings.Repeat("x", corev1.MaxSecretSize)}
	create(r, Cluster.CreateSecret, secret)
	create(r, Cluster.CreateConfigMap, configMap)
	large, largeMap := r.secret("large"), r.configMap("large") // with a key of their own
	large.Data["other"], largeMap.Data["other"] = secret.Data["key"], configMap.Data["key"]
	_, err := r.cluster.CreateSecret(r.ctx, large)
	r.invalid("create of a Secret of more than 1 MiB", err, "Secret", "large", metav1.CauseTypeTooLong, "data")
	_, err = r.cluster.CreateConfigMap(r.ctx, largeMap)
	r.invalid("create of a ConfigMap of more than 1 MiB", err, "ConfigMap", "large", metav1.CauseTypeTooLong, "[]")
}

func emptyValues(r *room) {
	secret, configMap := r.secret("s"), r.configMap("c")
	secret.Data = map[string][]byte{"empty": {}, "nil": nil}
	configMap.Data = map[string]string{"empty": ""}
	create(r, Cluster.CreateSecret, secret)
	create(r, Cluster.CreateConfigMap, configMap)
	secret, configMap = get(r, Cluster.GetSecret, "s"), get(r, Cluster.GetConfigMap, "c")
	for _, key := range []string{"empty", "nil"} {
		if value, ok := secret.Data[key]; !ok || value == nil || len(value) != 0 {
			r.failf("a Secret's value that is %s came back as %#v (%t), want []byte{}", key, value, ok)
		}
	}
	if value, ok := configMap.Data["empty"]; !ok || value != "" {
		r.failf("a ConfigMap's empty value came back as %q (%t)", value, ok)
	}
}

func immutableSecret(r *room) {
	yes, no := true, false
	secret := r.secret("s")
	secret.Immutable = &yes
	secret = create(r, Cluster.CreateSecret, secret)
	for field, change := range map[string]func(*corev1.Secret){
		"data":      func(s *corev1.Secret) { s.StringData = map[string]string{"key": "new"} },
		"immutable": func(s *corev1.Secret) { s.Immutable = &no },
	} {
		changed := secret.DeepCopy()
		change(changed)
		_, err := r.cluster.UpdateSecret(r.ctx, changed)
		r.invalid("update of an immutable Secret", err, "Secret", "s", metav1.CauseTypeForbidden, field)
	}
	secret.Labels = map[string]string{"a": "b"}
	update(r, Cluster.UpdateSecret, secret)
	r.done("delete of an immutable Secret", r.cluster.DeleteSecret(r.ctx, r.namespace, "s", metav1.DeleteOptions{}))
}

func immutableConfigMap(r *room) {
	yes := true
	configMap := create(r, Cluster.CreateConfigMap, r.configMap("c"))
	configMap.Immutable = &yes
	configMap = update(r, Cluster.UpdateConfigMap, configMap)
	for field, change := range map[string]func(*corev1.ConfigMap){
		"data":       func(m *corev1.ConfigMap) { m.Data = map[string]string{"key": "new"} },
		"binaryData": func(m *corev1.ConfigMap) { m.BinaryData = map[string][]byte{"new": []byte("new")} },
		"immutable":  func(m *corev1.ConfigMap) { m.Immutable = nil },
	} {
		changed := configMap.DeepCopy()
		change(changed)
		_, err := r.cluster.UpdateConfigMap(r.ctx, changed)
		r.invalid("update of an immutable ConfigMap", err, "ConfigMap", "c", metav1.CauseTypeForbidden, field)
	}
	configMap.Labels = map[string]string{"a": "b"}
	update(r, Cluster.UpdateConfigMap, configMap)
	r.done("delete of an immutable ConfigMap", r.cluster.DeleteConfigMap(r.ctx, r.namespace, "c", metav1.DeleteOptions{}))
}

func accountSecrets(r *room) {
	full := corev1.ObjectReference{Kind: "Secret", Namespace: "other", Name: "s", UID: "1", APIVersion: "v1", ResourceVersion: "1", FieldPath: "x"}
	account := r.account("builder")
	account.Secrets = []corev1.ObjectReference{full, {Name: "t"}}
	account = create(r, Cluster.CreateServiceAccount, account)
	for range 2 {
		if len(account.Secrets) != 2 || account.Secrets[0] != (corev1.ObjectReference{Name: "s"}) || account.Secrets[1].Name != "t" {
			r.failf("an account's secrets are %+v, want only the names s and t", account.Secrets)
		}
		account = account.DeepCopy()
		account.Secrets[0] = full
		account = update(r, Cluster.UpdateServiceAccount, account)
	}
}
