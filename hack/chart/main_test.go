package chart

import (
	"testing"

	"portreeve.io/portreeve/internal/testutil/testenv"
)

func TestMain(m *testing.M) {
	testenv.Main(m, "config/default/namespace.yaml", "config/rbac", "config/admission", "config/release/rbac.yaml")
}
