package nodetuning

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// notReadyCounter counts the nodes that are not ready. The cache has only the metadata of
// nodes, because their statuses change every few minutes, so it lists them in pages.
type notReadyCounter struct {
	reader  client.Reader // of the API server
	count   int
	readAt  time.Time
	hasRead bool
}

// notReadyInterval is the minimum time between two lists of all nodes.
const notReadyInterval = 30 * time.Second

// nodePage is the number of nodes in a page.
const nodePage = 250

// countNodes returns the number of nodes that are not ready, at most notReadyInterval ago.
func (c *notReadyCounter) countNodes(ctx context.Context, now time.Time) (int, error) {
	if age := now.Sub(c.readAt); c.hasRead && age >= 0 && age < notReadyInterval {
		return c.count, nil
	}
	count := 0
	list := &corev1.NodeList{}
	for {
		if err := c.reader.List(ctx, list, client.Limit(nodePage), client.Continue(list.Continue)); err != nil {
			return 0, err
		}
		for i := range list.Items {
			if !isNodeReady(&list.Items[i]) {
				count++
			}
		}
		if list.Continue == "" {
			break
		}
		list = &corev1.NodeList{ListMeta: list.ListMeta}
	}
	c.count, c.readAt, c.hasRead = count, now, true
	return count, nil
}

func isNodeReady(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
