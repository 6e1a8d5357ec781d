"""The realtime core: Engine.IO and Socket.IO, conversations and channels. It imports nothing of the rest of the house."""
