package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// printable rejects control characters (C0, DEL, C1), and those that are invisible or
// change the direction of text.
const printable = `^[^\x00-\x1f\x7f-\x9f\x{200b}-\x{200f}\x{2028}-\x{202e}\x{2060}-\x{206f}\x{feff}]*$`

// maxConditionMessage replaces the limit of metav1.Condition, 32 kB.
const maxConditionMessage = 1024

// maxWeight is the maximum sum of the lengths of all strings and of itemWeight for each
// item of a list. A character takes at most 6 bytes (as <), and an item at most 500 without
// its strings, so that a status has at most 64 kB. The 6 kB of an agent's are below it.
const (
	maxWeight  = 10_600
	itemWeight = 100
)

// limitVersions adds the limits to the status of each version of a CRD.
func limitVersions(object map[string]any) error {
	spec, _ := object["spec"].(map[string]any)
	versions, _ := spec["versions"].([]any)
	if len(versions) == 0 {
		return errors.New("no versions")
	}
	for _, v := range versions {
		version, _ := v.(map[string]any)
		status := find(version, "schema", "openAPIV3Schema", "properties", "status")
		if status == nil {
			return fmt.Errorf("version %v has no status", version["name"])
		}
		limitStrings(status)
		if message := find(status, "properties", "conditions", "items", "properties", "message"); message != nil {
			message["maxLength"] = maxConditionMessage
		}
		status["x-kubernetes-validations"] = []any{map[string]any{
			"rule":    fmt.Sprintf("%s <= %d", sumWeights(status, "self", 0), maxWeight),
			"message": fmt.Sprintf("the strings and list items of a status are limited to %d characters in total, each item counted as %d", maxWeight, itemWeight),
		}}
	}
	return nil
}

func find(schema map[string]any, path ...string) map[string]any {
	for _, name := range path {
		schema, _ = schema[name].(map[string]any)
	}
	return schema
}

// isFreeText reports whether the schema is of a string that is not limited otherwise.
func isFreeText(schema map[string]any) bool {
	return schema["type"] == "string" && schema["format"] == nil && schema["enum"] == nil
}

// limitStrings adds the pattern to all strings of a schema that have none.
func limitStrings(schema map[string]any) {
	if isFreeText(schema) && schema["pattern"] == nil {
		schema["pattern"] = printable
	}
	if items := find(schema, "items"); items != nil {
		limitStrings(items)
	}
	properties := find(schema, "properties")
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		limitStrings(find(properties, name))
	}
}

// sumWeights returns a CEL expression for the weight of value, which has that schema, or ""
// if that is always 0.
func sumWeights(schema map[string]any, value string, depth int) string {
	switch {
	case isFreeText(schema):
		return "size(" + value + ")"
	case schema["type"] == "array":
		item := fmt.Sprint("v", depth)
		weight := fmt.Sprint(itemWeight)
		if inner := sumWeights(find(schema, "items"), item, depth+1); inner != "" {
			weight += " + " + inner
		}
		return fmt.Sprintf("%s.map(%s, %s).sum()", value, item, weight)
	}
	var terms []string
	properties := find(schema, "properties")
	required, _ := schema["required"].([]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		field := value + "." + name
		term := sumWeights(find(properties, name), field, depth)
		if term != "" && !slices.Contains(required, any(name)) {
			term = fmt.Sprintf("(has(%s) ? %s : 0)", field, term)
		}
		if term != "" {
			terms = append(terms, term)
		}
	}
	return strings.Join(terms, " + ")
}
