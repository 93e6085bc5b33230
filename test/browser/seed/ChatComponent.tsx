import { useState, useCallback } from 'react';
function ChatComponent() {
const [response, setResponse] = useState('');
const [loading, setLoading] = useState(false);
const sendMessage = useCallback(async (message: string) => {
setLoading(true);
setResponse('');
const res = await fetch('/v1/chat/completions', {
method: 'POST',
headers: { 'Content-Type': 'application/json' },
body: JSON.stringify({
model: 'qwen-7b',
messages: [{ role: 'user', content: message }],
stream: true,
}),
});
const reader = res.body!.getReader();
const decoder = new TextDecoder();
while (true) {
const { done, value } = await reader.read();
if (done) break;
const text = decoder.decode(value);
// Parse SSE and update state
const matches = text.matchAll(/data: ({.*})/g);
for (const match of matches) {
const chunk = JSON.parse(match[1]);
const content = chunk.choices[0]?.delta?.content || '';
setResponse(prev => prev + content);
}
}
setLoading(false);
}, []);
return (
<div>
<div>{response}</div>
<button onClick={() => sendMessage('Hello!')}>
{loading ? 'Generating...' : 'Send'}
</button>
</div>
);
}
export default ChatComponent;
