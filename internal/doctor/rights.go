package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/deploy"
	"github.com/khronicle/khronicle/kube"
)

// ownRights says which commands the caller may use. Who may only read is not wrong, so that is a warning at most.
func (x *examination) ownRights(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	proxy := kube.Right{Verb: "get", Resource: "services", Subresource: "proxy", Namespace: x.Namespace}
	get := kube.Right{Verb: "get", Group: khv1.GroupVersion.Group, Resource: khv1.CheckResource, Namespace: x.CallersNamespace}
	patch := get
	patch.Verb = "patch"
	for _, verbs := range []struct {
		commands string
		rights   []kube.Right
	}{
		{"get, describe, history, wait", []kube.Right{proxy}},
		{"run", []kube.Right{get, patch}},
		{"pause, resume", []kube.Right{patch}},
	} {
		missing, err := lacking(verbs.rights, func(right kube.Right) (bool, error) { return x.Cluster.MayI(ctx, right) })
		name := "rights/you/" + strings.ReplaceAll(verbs.commands, ", ", "-")
		switch {
		case err != nil:
			x.unknown(name, "ask what you may do", err)
		case len(missing) > 0:
			x.add(name, Warn, x.grant(missing), "you may not use %s: the right %s is missing", verbs.commands, listed(missing))
		default:
			x.add(name, OK, "", "you may use %s", verbs.commands)
		}
	}
}

// grant is the command that gives the caller rights. Somebody with more rights has to run it.
func (x *examination) grant(rights []kube.Right) string {
	var verbs []string
	resource := ""
	for _, right := range rights {
		verbs = append(verbs, right.Verb)
		resource = right.Resource
		if right.Subresource != "" {
			resource += "/" + right.Subresource
		} else if right.Group != "" {
			resource += "." + right.Group
		}
	}
	name := "khronicle-" + strings.NewReplacer("/", "-", "."+khv1.GroupVersion.Group, "").Replace(resource) + "-" + strings.Join(verbs, "-")
	kind, in := "cluster", ""
	if namespace := rights[0].Namespace; namespace != "" {
		kind, in = "", " -n "+namespace
	}
	return fmt.Sprintf("%[1]s create %[2]srole %[3]s%[4]s --verb=%[5]s --resource=%[6]s && %[1]s create %[2]srolebinding %[3]s%[4]s --%[2]srole=%[3]s --user=USER",
		x.Kubectl, kind, name, in, strings.Join(verbs, ","), resource)
}

// lacking returns the rights that are refused.
func lacking(rights []kube.Right, may func(kube.Right) (bool, error)) (missing []kube.Right, err error) {
	for _, right := range rights {
		allowed, err := may(right)
		if err != nil {
			return nil, err
		}
		if !allowed {
			missing = append(missing, right)
		}
	}
	return missing, nil
}

func listed(rights []kube.Right) string {
	texts := make([]string, len(rights))
	for i, right := range rights {
		texts[i] = right.String()
	}
	return strings.Join(texts, ", ")
}

// rights looks whether the ServiceAccount of each role may do what the ClusterRole of this version says.
func (x *examination) rights(ctx context.Context) {
	for _, role := range roleNames {
		x.rightsOf(ctx, role)
	}
}

func (x *examination) rightsOf(ctx context.Context, role string) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	name, account := "rights/"+role, "khronicle-"+role
	if d, ok := x.deployments[role]; ok && d.Spec.Template.Spec.ServiceAccountName != "" {
		account = d.Spec.Template.Spec.ServiceAccountName
	}
	exists, err := x.Cluster.HasAccount(ctx, x.Namespace, account)
	switch {
	case err != nil:
		x.unknown(name, "get ServiceAccount "+account, err)
		return
	case !exists && x.asked && len(x.deployments) == 0:
		x.add(name, Skipped, "", "there is no ServiceAccount %s in the namespace %s: the %s runs elsewhere", account, x.Namespace, role)
		return
	case !exists:
		x.add(name, Fail, "khronicle manifests serviceaccounts"+x.ofNamespace()+" | "+x.Kubectl+" apply --server-side -f -", "there is no ServiceAccount %s in the namespace %s", account, x.Namespace)
		return
	}
	missing, err := lacking(x.needs(role), func(right kube.Right) (bool, error) {
		return x.Cluster.MayAccount(ctx, x.Namespace, account, right)
	})
	switch {
	case err != nil:
		x.unknown(name, "ask what ServiceAccount "+account+" may do", err)
	case len(missing) > 0:
		x.add(name, severity(missing), x.mendRights(role, account), "ServiceAccount %s lacks the right %s", account, listed(missing))
	default:
		x.add(name, OK, "", "ServiceAccount %s has the rights of this version", account)
	}
}

// severity is Warn if checks run without these rights: then only evidence, events or a lost node are missing.
func severity(missing []kube.Right) Status {
	for _, right := range missing {
		if right.Resource != "nodes" && right.Resource != "events" && right.Subresource != "log" {
			return Fail
		}
	}
	return Warn
}

// mendRights is the command that gives a role its rights: in the whole cluster, or in the target namespaces.
func (x *examination) mendRights(role, account string) string {
	manifests, apply := "khronicle manifests roles", " | "+x.Kubectl+" apply --server-side --force-conflicts -f -"
	own := account == "khronicle-"+role
	switch {
	case len(x.Targets) == 0 && own:
		return manifests + " bindings" + x.ofNamespace() + apply
	case len(x.Targets) == 0:
		return fmt.Sprintf("%s%s && %s create clusterrolebinding %s --clusterrole=khronicle-%s --serviceaccount=%s:%s",
			manifests, apply, x.Kubectl, account, role, x.Namespace, account)
	}
	command := manifests + apply
	for _, target := range x.Targets {
		command += fmt.Sprintf(" && %s create rolebinding %s -n %s --clusterrole=khronicle-%s --serviceaccount=%s:%s", x.Kubectl, account, target, role, x.Namespace, account)
	}
	return command
}

// ofNamespace is the flag that names the namespace of Khronicle.
func (x *examination) ofNamespace() string {
	if x.Namespace == deploy.DefaultNamespace {
		return ""
	}
	return " --service-namespace " + x.Namespace
}

// needs are the rights of a role, from the manifest that a test compares with the requests of the code. With target namespaces they
// are needed there, and nodes are left out: a RoleBinding cannot give that right.
func (x *examination) needs(role string) []kube.Right {
	targets := x.Targets
	if len(targets) == 0 {
		targets = []string{""}
	}
	var needed []kube.Right
	for _, rule := range rulesOf(role) {
		if len(x.Targets) > 0 && len(rule.Resources) == 1 && rule.Resources[0] == "nodes" {
			continue
		}
		for _, target := range targets {
			needed = append(needed, rightsOfRule(rule, target)...)
		}
	}
	return needed
}

func rulesOf(role string) []rbacv1.PolicyRule {
	for _, document := range deploy.Documents(deploy.PartRoles, deploy.DefaultNamespace) {
		var found rbacv1.ClusterRole
		text, err := json.Marshal(parse(document))
		if err == nil {
			err = json.Unmarshal(text, &found)
		}
		if err != nil {
			panic(fmt.Sprintf("embedded ClusterRole: %v", err))
		}
		if found.Name == "khronicle-"+role {
			return found.Rules
		}
	}
	return nil
}

// rightsOfRule splits a rule. It leaves out /readyz, which every user may get by default and without which a role only says that it
// is not ready.
func rightsOfRule(rule rbacv1.PolicyRule, namespace string) []kube.Right {
	var rights []kube.Right
	for _, group := range rule.APIGroups {
		for _, full := range rule.Resources {
			resource, sub, _ := strings.Cut(full, "/")
			for _, verb := range rule.Verbs {
				rights = append(rights, kube.Right{Verb: verb, Group: group, Resource: resource, Subresource: sub, Namespace: namespace})
			}
		}
	}
	return rights
}
