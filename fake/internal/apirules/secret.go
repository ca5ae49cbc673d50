package apirules

import (
	"encoding/json"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const immutableField = "field is immutable"

// maxContent is the size limit of what a Secret or a ConfigMap holds.
const maxContent = corev1.MaxSecretSize

func prepareServiceAccount(account *corev1.ServiceAccount) {
	for i, ref := range account.Secrets {
		account.Secrets[i] = corev1.ObjectReference{Name: ref.Name}
	}
}

func prepareSecret(secret *corev1.Secret) {
	if secret.Type == "" {
		secret.Type = corev1.SecretTypeOpaque
	}
	if len(secret.StringData) > 0 && secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	for key, value := range secret.StringData {
		secret.Data[key] = []byte(value)
	}
	secret.StringData = nil
}

func validateSecret(secret *corev1.Secret) field.ErrorList {
	path := field.NewPath("data")
	size := 0
	var errs field.ErrorList
	for _, key := range slices.Sorted(maps.Keys(secret.Data)) {
		for _, msg := range validation.IsConfigMapKey(key) {
			errs = append(errs, field.Invalid(path.Key(key), key, msg))
		}
		size += len(secret.Data[key])
	}
	if size > maxContent {
		errs = append(errs, field.TooLong(path, "", maxContent))
	}
	require := func(key string) {
		if _, ok := secret.Data[key]; !ok {
			errs = append(errs, field.Required(path.Key(key), ""))
		}
	}
	switch secret.Type {
	case corev1.SecretTypeServiceAccountToken:
		if secret.Annotations[corev1.ServiceAccountNameKey] == "" {
			errs = append(errs, field.Required(field.NewPath("metadata", "annotations").Key(corev1.ServiceAccountNameKey), ""))
		}
	case corev1.SecretTypeDockercfg:
		errs = append(errs, validateJSON(secret, corev1.DockerConfigKey, path)...)
	case corev1.SecretTypeDockerConfigJson:
		errs = append(errs, validateJSON(secret, corev1.DockerConfigJsonKey, path)...)
	case corev1.SecretTypeBasicAuth:
		_, username := secret.Data[corev1.BasicAuthUsernameKey]
		_, password := secret.Data[corev1.BasicAuthPasswordKey]
		if !username && !password {
			require(corev1.BasicAuthUsernameKey)
			require(corev1.BasicAuthPasswordKey)
		}
	case corev1.SecretTypeSSHAuth:
		if len(secret.Data[corev1.SSHAuthPrivateKey]) == 0 {
			errs = append(errs, field.Required(path.Key(corev1.SSHAuthPrivateKey), ""))
		}
	case corev1.SecretTypeTLS:
		require(corev1.TLSCertKey)
		require(corev1.TLSPrivateKeyKey)
	}
	return errs
}

// validateJSON requires a key with JSON in it. The message does not show it.
func validateJSON(secret *corev1.Secret, key string, path *field.Path) field.ErrorList {
	data, ok := secret.Data[key]
	if !ok {
		return field.ErrorList{field.Required(path.Key(key), "")}
	}
	if !json.Valid(data) {
		return field.ErrorList{field.Invalid(path.Key(key), "<secret contents redacted>", "invalid character or unexpected end of JSON input")}
	}
	return nil
}

func validateSecretUpdate(secret, before *corev1.Secret) field.ErrorList {
	var errs field.ErrorList
	if secret.Type != before.Type {
		errs = append(errs, field.Invalid(field.NewPath("type"), secret.Type, immutableField))
	}
	return append(errs, validateFrozen(secret.Immutable, before.Immutable,
		frozen{"data", secret.Data, before.Data})...)
}

// frozen is a field that may not change once the object says it is immutable.
type frozen struct {
	name     string
	now, old any
}

func validateFrozen(now, old *bool, fields ...frozen) field.ErrorList {
	if old == nil || !*old {
		return nil
	}
	var errs field.ErrorList
	if now == nil || !*now {
		errs = append(errs, field.Forbidden(field.NewPath("immutable"), "field is immutable when `immutable` is set"))
	}
	for _, f := range fields {
		if !equality.Semantic.DeepEqual(f.now, f.old) {
			errs = append(errs, field.Forbidden(field.NewPath(f.name), "field is immutable when `immutable` is set"))
		}
	}
	return errs
}

func validateConfigMap(m *corev1.ConfigMap) field.ErrorList {
	size := 0
	var errs field.ErrorList
	for _, key := range slices.Sorted(maps.Keys(m.Data)) {
		for _, msg := range validation.IsConfigMapKey(key) {
			errs = append(errs, field.Invalid(field.NewPath("data").Key(key), key, msg))
		}
		if _, twice := m.BinaryData[key]; twice {
			errs = append(errs, field.Invalid(field.NewPath("data").Key(key), key, "duplicate of key present in binaryData"))
		}
		size += len(m.Data[key])
	}
	for _, key := range slices.Sorted(maps.Keys(m.BinaryData)) {
		for _, msg := range validation.IsConfigMapKey(key) {
			errs = append(errs, field.Invalid(field.NewPath("binaryData").Key(key), key, msg))
		}
		size += len(m.BinaryData[key])
	}
	if size > maxContent {
		errs = append(errs, field.TooLong(field.NewPath(""), "", maxContent))
	}
	return errs
}

func validateConfigMapUpdate(m, before *corev1.ConfigMap) field.ErrorList {
	return validateFrozen(m.Immutable, before.Immutable,
		frozen{"data", m.Data, before.Data}, frozen{"binaryData", m.BinaryData, before.BinaryData})
}
