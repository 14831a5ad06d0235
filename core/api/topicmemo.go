package api

import "github.com/lockstep/lockstep/core/metadata"

// topicMemo is the topic that was asked for last, in the image of then: most requests of a broker name the same one.
type topicMemo struct {
	image    *metadata.Image
	offset   int64           // of the image, which grows in place
	topic    *metadata.Topic // nil: none
	maxBytes int             // its max.message.bytes; 0: not looked up
}

// remembered is the memo if it still holds.
func (s *Server) remembered() *topicMemo {
	m, image := &s.topic, s.Image()
	if m.image != image || m.offset != image.Offset() {
		*m = topicMemo{image: image, offset: image.Offset()}
	}
	return m
}

// topicByID is nil for an unknown id.
func (s *Server) topicByID(id [16]byte) *metadata.Topic {
	m := s.remembered()
	if m.topic == nil || m.topic.ID != id {
		m.remember(m.image.TopicByID(id))
	}
	return m.topic
}

// topicByName is nil for an unknown name.
func (s *Server) topicByName(name string) *metadata.Topic {
	m := s.remembered()
	if m.topic == nil || m.topic.Name != name {
		m.remember(m.image.Topic(name))
	}
	return m.topic
}

func (m *topicMemo) remember(t *metadata.Topic) { m.topic, m.maxBytes = t, 0 }
