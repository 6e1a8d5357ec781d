"""The realtime core: Engine.IO, Socket.IO, conversations and channels. It imports nothing of the rest of the house."""
