package differential

import (
	"maps"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestTheOrderOfAnAnswerDoesNotMatter, nor whether a topic comes in one piece.
func TestTheOrderOfAnAnswerDoesNotMatter(t *testing.T) {
	part := func(index int32, code int16) kmsg.ListOffsetsResponseTopicPartition {
		p := kmsg.NewListOffsetsResponseTopicPartition()
		p.Partition, p.ErrorCode = index, code
		return p
	}
	topic := func(name string, parts ...kmsg.ListOffsetsResponseTopicPartition) kmsg.ListOffsetsResponseTopic {
		return kmsg.ListOffsetsResponseTopic{Topic: name, Partitions: parts}
	}
	a := canon(&kmsg.ListOffsetsResponse{Topics: []kmsg.ListOffsetsResponseTopic{topic("a", part(0, 0), part(0, 42), part(1, 0)), topic("b", part(0, 3))}})
	b := canon(&kmsg.ListOffsetsResponse{Topics: []kmsg.ListOffsetsResponseTopic{topic("a", part(1, 0)), topic("b", part(0, 3)), topic("a", part(0, 42), part(0, 0))}})
	if !maps.Equal(a, b) {
		t.Errorf("%v\nand\n%v", a, b)
	}
	if got := a["Topics[a].Partitions[0#2].ErrorCode"]; got != "42" {
		t.Errorf("the second of two has the code %q in %v", got, a)
	}
}
