/** What a webhook is sent. */
export interface WebhookEvent {
  /** The same however often it is sent. */
  id: string;
  type: 'verdict.final' | 'verdict.changed' | 'webhook.test';
  /** ISO 8601. */
  createdAt: string;
  data: Record<string, unknown> & { sessionId?: string; deploymentId?: string; decision?: 'pass' | 'review' | 'fail'; previousDecision?: string };
}

/**
 * Reads a delivery and proves that it is the service's and fresh. `header` is `playproof-signature`, `body` the body as it
 * came, byte for byte. Throws what is wrong.
 */
export async function verifyWebhook(secret: string, header: string | null | undefined, body: string, { toleranceSeconds = 300, now = Date.now() }: { toleranceSeconds?: number; now?: number } = {}): Promise<WebhookEvent> {
  const parts = new Map((header ?? '').split(',').map((part) => part.split('=', 2) as [string, string]));
  const [time, code] = [parts.get('t') ?? '', parts.get('v1') ?? ''];
  if (!/^\d+$/.test(time) || !/^[0-9a-f]{64}$/.test(code)) throw new Error('the header playproof-signature is missing or malformed');
  const encoder = new TextEncoder();
  const key = await crypto.subtle.importKey('raw', encoder.encode(secret), { name: 'HMAC', hash: 'SHA-256' }, false, ['verify']);
  const bytes = Uint8Array.from(code.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  // Compares in constant time.
  if (!await crypto.subtle.verify('HMAC', key, bytes, encoder.encode(`${time}.${body}`))) throw new Error('the signature is not of this secret and body');
  if (Math.abs(now / 1000 - Number(time)) > toleranceSeconds) throw new Error('the delivery was signed too long ago, or in the future');
  return JSON.parse(body) as WebhookEvent;
}
