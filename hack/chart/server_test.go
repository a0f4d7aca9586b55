package chart

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/internal/testutil/testenv"
)

func TestTheAPIServerAcceptsEveryObject(t *testing.T) {
	tests := map[string][]string{
		"the defaults":        nil,
		"pod names from logs": {"--set", "agent.podNames=logs"},
		"pod names from API":  {"--set", "agent.podNames=api"},
		"tuning nodes":        {"--set", "agent.mode=host,agent.windows.mode=host"},
		"tuning inside pods":  {"--set", "agent.mode=pods,agent.snat=true"},
		"every value is set":  {"--values", "testdata/all-values.yaml"},
	}
	for name, args := range tests {
		t.Run(name, func(t *testing.T) {
			objects := RenderObjects(t, "portreeve-system", args...)
			env := testenv.Start(t)
			for _, o := range objects {
				if o.GroupVersionKind().Group == "monitoring.coreos.com" {
					continue // the CRDs of the Prometheus operator are not installed
				}
				err := env.Client.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(o), client.DryRunAll,
					client.FieldOwner("chart"), client.ForceOwnership)
				if err != nil {
					t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
				}
			}
			if len(objects) < 15 {
				t.Errorf("%d objects rendered, want all", len(objects))
			}
		})
	}
}

// helm reads the version of the API server and the labels of the namespace.
func TestTheNotesExplainTheNextSteps(t *testing.T) {
	tests := map[string]struct {
		enforced  string
		want, not []string
		set       string
	}{
		"a namespace that admits the agents":  {"privileged", []string{"Agents measure and do not change settings. ", "kubectl get portpressures"}, []string{"kubectl label", "NodeTunings"}, "agent.mode=measure"},
		"a namespace that refuses the agents": {"baseline", []string{"This namespace enforces baseline:", "kubectl label --overwrite namespace chart-baseline pod-security"}, nil, "agent.mode=measure"},
		"agents that tune": {"restricted", []string{"is installed. ", "Agents apply NodeTunings (docs/tuning.md) on Linux nodes and inside their pods and on Windows nodes. ", "helm uninstall first restores", "the capability SYS_ADMIN to enter"},
			[]string{"do not change settings"}, "agent.mode=pods,agent.windows.mode=host"},
		"a namespace without its own level": {"", []string{"If your cluster enforces one", "kubectl label --overwrite namespace chart pod-security"}, nil, "agent.mode=measure"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			env := testenv.Start(t)
			namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: strings.TrimSuffix("chart-"+tt.enforced, "-")}}
			if tt.enforced != "" {
				namespace.Labels = map[string]string{"pod-security.kubernetes.io/enforce": tt.enforced}
			}
			if err := env.Client.Create(t.Context(), namespace); err != nil {
				t.Fatal(err)
			}
			out, err := RunHelm(t, []string{"KUBECONFIG=" + writeKubeconfig(t, env.Config)}, "install", "portreeve", FindChart(t),
				"--namespace", namespace.Name, "--dry-run=server", "--take-ownership", "--set", tt.set)
			if err != nil {
				t.Fatal(err)
			}
			_, notes, ok := strings.Cut(out, "\nNOTES:\n")
			missing := func(s string) bool { return !strings.Contains(notes, s) }
			if !ok || slices.ContainsFunc(tt.want, missing) || slices.ContainsFunc(tt.not, func(s string) bool { return !missing(s) }) {
				t.Errorf("notes:\n%s\nwant %q and not %q", notes, tt.want, tt.not)
			}
		})
	}
}

// writeKubeconfig writes config to a kubeconfig file.
func writeKubeconfig(t *testing.T, config *rest.Config) string {
	t.Helper()
	c := clientcmdapi.NewConfig()
	c.Clusters["test"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	c.AuthInfos["test"] = &clientcmdapi.AuthInfo{ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}
	c.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test"}
	c.CurrentContext = "test"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*c, path); err != nil {
		t.Fatal(err)
	}
	return path
}
