package clustertest

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
)

func aboutOwnership() []Promise {
	return []Promise{
		promise("what is passed in is not changed", argumentsAreNotChanged), // F02
		promise("what is passed in is not kept", argumentsAreNotKept),       // F02
		promise("what is returned belongs to the caller", resultsAreOwn),    // F02
	}
}

func argumentsAreNotChanged(r *room) {
	r.each(func(k kind) {
		o := k.new()
		o.SetGenerateName("clustertest-")
		if k.namespaced {
			o.SetNamespace(r.namespace)
		}
		o.SetLabels(map[string]string{"a": "b"})
		sent := copyOf(o)
		created := k.must(r, "create", o)(k.create(r.cluster, r.ctx, o))
		switch k.resource {
		case "namespaces":
			r.opened = append(r.opened, created.GetName())
		case "nodes":
			r.nodes = append(r.nodes, created.GetName())
		}
		if !equality.Semantic.DeepEqual(o, sent) {
			r.failf("create of a %s changed its argument from %v to %v", k.name, sent, o)
		}
		if k.update == nil {
			return
		}
		o = labelled(created, "new")
		sent = copyOf(o)
		k.change(r, o)
		if !equality.Semantic.DeepEqual(o, sent) {
			r.failf("update of a %s changed its argument from %v to %v", k.name, sent, o)
		}
	})
	secret := r.secret("s")
	secret.StringData = map[string]string{"other": "value"}
	create(r, Cluster.CreateSecret, secret)
	if secret.UID != "" || secret.Type != "" || len(secret.Data) != 1 || len(secret.StringData) != 1 {
		r.failf("create of a Secret changed its argument")
	}
	patch := []byte(`{"metadata":{"labels":{"a":"b"}}}`)
	sent := slices.Clone(patch)
	r.patch("s", types.MergePatchType, string(patch))
	if !slices.Equal(patch, sent) {
		r.failf("a patch changed its argument")
	}
}

func argumentsAreNotKept(r *room) {
	account := r.account("builder")
	account.Secrets = []corev1.ObjectReference{{Name: "s"}}
	secret, configMap := r.tokenSecret("s", "builder"), r.configMap("c")
	secret.Data = map[string][]byte{"key": []byte("value")}
	spoil := func() {
		spoilAccount(account)
		spoilSecret(secret)
		spoilConfigMap(configMap)
	}
	check := func(verb string) {
		r.unspoiled("the argument of a "+verb, get(r, Cluster.GetServiceAccount, "builder"), get(r, Cluster.GetSecret, "s"), get(r, Cluster.GetConfigMap, "c"))
	}
	create(r, Cluster.CreateServiceAccount, account)
	create(r, Cluster.CreateSecret, secret)
	create(r, Cluster.CreateConfigMap, configMap)
	spoil()
	check("create")
	account, secret, configMap = get(r, Cluster.GetServiceAccount, "builder"), get(r, Cluster.GetSecret, "s"), get(r, Cluster.GetConfigMap, "c")
	account.Labels = map[string]string{"a": "b"}
	secret.Labels, configMap.Labels = account.Labels, account.Labels
	update(r, Cluster.UpdateServiceAccount, account)
	update(r, Cluster.UpdateSecret, secret)
	update(r, Cluster.UpdateConfigMap, configMap)
	spoil()
	check("update")
}

func spoilAccount(account *corev1.ServiceAccount) {
	for i := range account.Secrets {
		account.Secrets[i].Name = "spoiled"
	}
}

func spoilSecret(secret *corev1.Secret) {
	for key := range secret.Annotations {
		secret.Annotations[key] = "spoiled"
	}
	for _, value := range secret.Data {
		clear(value)
	}
}

func spoilConfigMap(configMap *corev1.ConfigMap) {
	for key := range configMap.Data {
		configMap.Data[key] = "spoiled"
	}
}

// unspoiled fails if one of the objects that the promises about ownership
// create is not as it was sent.
func (r *room) unspoiled(what string, account *corev1.ServiceAccount, secret *corev1.Secret, configMap *corev1.ConfigMap) {
	switch {
	case len(account.Secrets) != 1 || account.Secrets[0].Name != "s":
		r.failf("a change of %s changed the stored ServiceAccount", what)
	case secret.Annotations[corev1.ServiceAccountNameKey] != "builder" || string(secret.Data["key"]) != "value":
		r.failf("a change of %s changed the stored Secret", what)
	case configMap.Data["key"] != "value":
		r.failf("a change of %s changed the stored ConfigMap", what)
	}
	list, err := r.cluster.TokenSecrets(r.ctx, r.namespace, "builder")
	r.same("the token Secrets after a change of "+what, names(r, "token Secrets", list, err), "s")
}

func resultsAreOwn(r *room) {
	account := r.account("builder")
	account.Secrets = []corev1.ObjectReference{{Name: "s"}}
	secret := r.tokenSecret("s", "builder")
	secret.Data = map[string][]byte{"key": []byte("value")}
	accounts := []*corev1.ServiceAccount{create(r, Cluster.CreateServiceAccount, account)}
	secrets := []*corev1.Secret{create(r, Cluster.CreateSecret, secret)}
	configMaps := []*corev1.ConfigMap{create(r, Cluster.CreateConfigMap, r.configMap("c"))}

	accounts = append(accounts, update(r, Cluster.UpdateServiceAccount, accounts[0].DeepCopy()), get(r, Cluster.GetServiceAccount, "builder"))
	secrets = append(secrets, update(r, Cluster.UpdateSecret, secrets[0].DeepCopy()), get(r, Cluster.GetSecret, "s"), r.patch("s", types.MergePatchType, `{}`))
	configMaps = append(configMaps, update(r, Cluster.UpdateConfigMap, configMaps[0].DeepCopy()), get(r, Cluster.GetConfigMap, "c"))
	listed, err := r.cluster.ListSecrets(r.ctx, r.namespace)
	names(r, "list of Secrets", listed, err)
	tokens, err := r.cluster.TokenSecrets(r.ctx, r.namespace, "builder")
	names(r, "token Secrets", tokens, err)
	secrets = slices.Concat(secrets, listed, tokens)

	for _, o := range accounts {
		spoilAccount(o)
	}
	for _, o := range secrets {
		spoilSecret(o)
	}
	for _, o := range configMaps {
		spoilConfigMap(o)
	}
	r.unspoiled("a result", get(r, Cluster.GetServiceAccount, "builder"), get(r, Cluster.GetSecret, "s"), get(r, Cluster.GetConfigMap, "c"))
}
