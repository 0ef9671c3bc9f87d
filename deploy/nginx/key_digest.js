// The cache key of an API key: one that can't be turned back into it.
import crypto from 'crypto';

function digest(request) {
    const header = request.headersIn.Authorization || '';
    return crypto.createHash('sha256').update(header).digest('hex');
}

export default { digest };
