







































 
 
 

 
function ComputeNonce(base_nonce            , seq        , Nn        )             {
   
   
   
  const nonce = new Uint8Array(Nn)
  nonce.set(base_nonce)
  let s = seq
  for (let i = Nn - 1; i >= 0 && s > 0; i--) {
    nonce[i] = nonce[i]  ^ (s & 0xff)
    s = Math.floor(s / 256)
  }
  return nonce
}

function MaxSeq(Nn        )         {
   
   
  return Math.min(2 ** (8 * Nn) - 1, Number.MAX_SAFE_INTEGER)
}

 
function IncrementSeq(seq        , maxSeq        )         {
  if (seq >= maxSeq) {
    throw new MessageLimitReachedError('Sequence number overflow')
  }
  return ++seq
}

 
async function ContextExport(
  suite        ,
  exporterSecret            ,
  exporterContext            ,
  L        ,
) {
  checkUint8Array(exporterContext, 'exporterContext')
  const stages = KDFStages(suite.KDF)
  if (!Number.isInteger(L) || L <= 0 || L > 0xffff) {
    throw new TypeError('"L" must be a positive integer not exceeding 65535')
  }
  if (stages === 2 && L > 255 * suite.KDF.Nh) {
    throw new TypeError('"L" must not exceed 255*Nh of the cipher suite KDF')
  }
  const Export = stages === 1 ? Export_OneStage : Export_TwoStage
  return await Export(suite.KDF, suite.id, exporterSecret, exporterContext, L)
}

class Mutex {
  #locked                = Promise.resolve()

  async lock()                      {
    let releaseLock             
    const nextLock = new Promise      ((resolve) => {
      releaseLock = resolve
    })
    const previousLock = this.#locked
    this.#locked = nextLock
    await previousLock
    return releaseLock
  }
}

                        
                        
                     
                          
                                 
                                      
                          
             
               
 

function createContextState(
  suite        ,
  mode      ,
  key            ,
  base_nonce            ,
  exporter_secret            ,
)               {
  return {
    suite,
    mode,
    key,
    base_nonce,
    exporter_secret,
    max_seq: MaxSeq(suite.AEAD.Nn),
    seq: 0,
    mutex: undefined,
  }
}




















class SenderContext {
  #state              

  constructor(
    suite        ,
    mode      ,
    key            ,
    base_nonce            ,
    exporter_secret            ,
  ) {
    this.#state = createContextState(suite, mode, key, base_nonce, exporter_secret)
  }

  




  get mode()       {
    return this.#state.mode
  }

  





  get seq()         {
    return this.#state.seq
  }

  

























  async Seal(plaintext            , aad             )                      {
    checkUint8Array(plaintext, 'plaintext')
    aad ??= new Uint8Array()
    checkUint8Array(aad, 'aad')
    const state = this.#state
    if (state.suite.AEAD.id === EXPORT_ONLY) {
      throw new TypeError('Export-only AEAD cannot be used with Seal')
    }

    state.mutex ??= new Mutex()
    const release = await state.mutex.lock()
    let ct            
    try {
      ct = await state.suite.AEAD.Seal(
        state.key,
        ComputeNonce(state.base_nonce, state.seq, state.suite.AEAD.Nn),
        aad,
        plaintext,
      )
      state.seq = IncrementSeq(state.seq, state.max_seq)
      return ct
    } finally {
      release()
    }
  }

  






















  async Export(exporterContext            , length        )                      {
    return await ContextExport(
      this.#state.suite,
      this.#state.exporter_secret,
      exporterContext,
      length,
    )
  }

  



  get Nt()         {
    return this.#state.suite.AEAD.Nt
  }
}
                             




















class RecipientContext {
  #state              

  constructor(
    suite        ,
    mode      ,
    key            ,
    base_nonce            ,
    exporter_secret            ,
  ) {
    this.#state = createContextState(suite, mode, key, base_nonce, exporter_secret)
  }

  




  get mode()       {
    return this.#state.mode
  }

  





  get seq()         {
    return this.#state.seq
  }

  


























  async Open(ciphertext            , aad             )                      {
    checkUint8Array(ciphertext, 'ciphertext')
    aad ??= new Uint8Array()
    checkUint8Array(aad, 'aad')

    const state = this.#state
    if (state.suite.AEAD.id === EXPORT_ONLY) {
      throw new TypeError('Export-only AEAD cannot be used with Open')
    }

    state.mutex ??= new Mutex()
    const release = await state.mutex.lock()
    try {
      let pt            
      try {
        pt = await state.suite.AEAD.Open(
          state.key,
          ComputeNonce(state.base_nonce, state.seq, state.suite.AEAD.Nn),
          aad,
          ciphertext,
        )
      } catch (cause) {
        if (cause instanceof MessageLimitReachedError || cause instanceof NotSupportedError) {
          throw cause
        }

        throw new OpenError('AEAD decryption failed', { cause })
      }
      state.seq = IncrementSeq(state.seq, state.max_seq)
      return pt
    } finally {
      release()
    }
  }

  






















  async Export(exporterContext            , length        )                      {
    return await ContextExport(
      this.#state.suite,
      this.#state.exporter_secret,
      exporterContext,
      length,
    )
  }
}
                                

 
 
 

const validate =                             (factory         , type        )    => {
  try {
    const result = factory()
    if (result.type !== type) {
      throw new Error(`Invalid "${type}" return discriminator`)
    }
    return result
  } catch (cause) {
    throw new TypeError(`Invalid "${type}"`, { cause })
  }
}

























export class CipherSuite                      {
  #suite           

  




























































  constructor(KEM               , KDF            , AEAD             ) {
    const kem = validate(KEM, 'KEM')
    const kdf = validate(KDF, 'KDF')
    const aead = validate(AEAD, 'AEAD')

    this.#suite = {
      KEM: kem,
      KDF: kdf,
      AEAD: aead,
      id: concat(L_HPKE, I2OSP(kem.id, 2), I2OSP(kdf.id, 2), I2OSP(aead.id, 2)),
    }
  }

  




  get KEM()   
                                             
                       
                                       
                         
                                                                         
                            
                                                                               
                         
                                                             
                        
                                                              
                        
    {
    return {
      id: this.#suite.KEM.id,
      name: this.#suite.KEM.name,
      Nsecret: this.#suite.KEM.Nsecret,
      Nenc: this.#suite.KEM.Nenc,
      Npk: this.#suite.KEM.Npk,
      Nsk: this.#suite.KEM.Nsk,
    }
  }

  




  get KDF()   
                                             
                       
                                       
                         
       
                                                            
      
                                                                        
       
                          
       
                                                                              
      
                                                                                          
       
                       
    {
    return {
      id: this.#suite.KDF.id,
      name: this.#suite.KDF.name,
      stages: this.#suite.KDF.stages,
      Nh: this.#suite.KDF.Nh,
    }
  }

  





  get AEAD()   
                                              
                       
                                        
                         
                                                             
                       
                                                               
                       
                                                                             
                       
    {
    return {
      id: this.#suite.AEAD.id,
      name: this.#suite.AEAD.name,
      Nk: this.#suite.AEAD.Nk,
      Nn: this.#suite.AEAD.Nn,
      Nt: this.#suite.AEAD.Nt,
    }
  }

  
















  async GenerateKeyPair(extractable          )                      {
    extractable ??= false
    checkExtractable(extractable)
    return await this.#suite.KEM.GenerateKeyPair(extractable)
  }

  


























  async DeriveKeyPair(ikm            , extractable          )                      {
    extractable ??= false
    checkExtractable(extractable)
    checkUint8Array(ikm, 'ikm')
    if (ikm.byteLength < this.#suite.KEM.Nsk) {
      throw new DeriveKeyPairError('Insufficient "ikm" length')
    }
    try {
      return await this.#suite.KEM.DeriveKeyPair(ikm, extractable)
    } catch (cause) {
      if (cause instanceof NotSupportedError) {
        throw cause
      }
      throw new DeriveKeyPairError('Key derivation failed', { cause })
    }
  }

  















  async SerializePrivateKey(privateKey   )                      {
    isKey(privateKey, 'private', true)

    return await this.#suite.KEM.SerializePrivateKey(privateKey)
  }

  















  async SerializePublicKey(publicKey   )                      {
    isKey(publicKey, 'public', true)

    return await this.#suite.KEM.SerializePublicKey(publicKey)
  }

  


















  async DeserializePrivateKey(privateKey            , extractable          )             {
    extractable ??= false
    checkExtractable(extractable)
    checkUint8Array(privateKey, 'privateKey')

    try {
      if (privateKey.byteLength !== this.#suite.KEM.Nsk) {
        throw new Error('Invalid "privateKey" length')
      }
      return await this.#suite.KEM.DeserializePrivateKey(privateKey, extractable)
    } catch (cause) {
      if (cause instanceof NotSupportedError) {
        throw cause
      }
      throw new DeserializeError('Private key deserialization failed', { cause })
    }
  }

  
















  async DeserializePublicKey(publicKey            )             {
    checkUint8Array(publicKey, 'publicKey')

    try {
      if (publicKey.byteLength !== this.#suite.KEM.Npk) {
        throw new Error('Invalid "publicKey" length')
      }
      return await this.#suite.KEM.DeserializePublicKey(publicKey)
    } catch (cause) {
      if (cause instanceof NotSupportedError) {
        throw cause
      }
      throw new DeserializeError('Public key deserialization failed', { cause })
    }
  }

  

































  async Seal(
    publicKey   ,
    plaintext            ,
    options                                                                                ,
  )                                                                      {
    if (this.#suite.AEAD.id === EXPORT_ONLY) {
      throw new TypeError('Export-only AEAD cannot be used with Seal')
    }
    const { encapsulatedSecret, ctx } = await this.SetupSender(publicKey, options)
    const ciphertext = await ctx.Seal(plaintext, options?.aad)
    return { encapsulatedSecret, ciphertext }
  }

  



































  async Open(
    privateKey                ,
    encapsulatedSecret            ,
    ciphertext            ,
    options                                                                                ,
  )                      {
    if (this.#suite.AEAD.id === EXPORT_ONLY) {
      throw new TypeError('Export-only AEAD cannot be used with Open')
    }
    const ctx = await this.SetupRecipient(privateKey, encapsulatedSecret, options)
    return await ctx.Open(ciphertext, options?.aad)
  }

  


































  async SendExport(
    publicKey   ,
    exporterContext            ,
    length        ,
    options                                                              ,
  )                                                                          {
    const { encapsulatedSecret, ctx } = await this.SetupSender(publicKey, options)
    const exportedSecret = await ctx.Export(exporterContext, length)
    return { encapsulatedSecret, exportedSecret }
  }

  




































  async ReceiveExport(
    privateKey                ,
    encapsulatedSecret            ,
    exporterContext            ,
    length        ,
    options                                                              ,
  )                      {
    const ctx = await this.SetupRecipient(privateKey, encapsulatedSecret, options)
    return await ctx.Export(exporterContext, length)
  }

  










































  async SetupSender(
    publicKey   ,
    options                                                              ,
  )                                                                  {
    isKey(publicKey, 'public')

    let shared_secret            
    let enc            
    try {
      const result = await this.#suite.KEM.Encap(publicKey)
      shared_secret = result.shared_secret
      enc = result.enc
    } catch (cause) {
      if (cause instanceof ValidationError || cause instanceof NotSupportedError) {
        throw cause
      }
      throw new EncapError('Encapsulation failed', { cause })
    }

    const mode = options?.psk?.byteLength ? MODE_PSK : MODE_BASE
    const { key, base_nonce, exporter_secret } = await KeySchedule(
      this.#suite,
      mode,
      shared_secret,
      options?.info,
      options?.psk,
      options?.pskId,
    )

    const ctx = new SenderContext(this.#suite, mode, key, base_nonce, exporter_secret)
    return { encapsulatedSecret: enc, ctx }
  }

  















































  async SetupRecipient(
    privateKey                ,
    encapsulatedSecret            ,
    options                                                              ,
  )                            {
    const { skR, pkR } = this.#extractRecipientKeys(privateKey)
    checkUint8Array(encapsulatedSecret, 'encapsulatedSecret')
    if (encapsulatedSecret.byteLength !== this.#suite.KEM.Nenc) {
      throw new DecapError('Invalid encapsulated secret length')
    }

    let shared_secret            
    try {
      shared_secret = await this.#suite.KEM.Decap(encapsulatedSecret, skR, pkR)
    } catch (cause) {
      if (cause instanceof ValidationError || cause instanceof NotSupportedError) {
        throw cause
      }
      throw new DecapError('Decapsulation failed', { cause })
    }

    const mode = options?.psk?.byteLength ? MODE_PSK : MODE_BASE
    const { key, base_nonce, exporter_secret } = await KeySchedule(
      this.#suite,
      mode,
      shared_secret,
      options?.info,
      options?.psk,
      options?.pskId,
    )

    return new RecipientContext(this.#suite, mode, key, base_nonce, exporter_secret)
  }

  #extractRecipientKeys(skR                )                                 {
    if (isKeyPair(skR)) {
      return { skR: skR.privateKey, pkR: skR.publicKey }
    }

    isKey(skR, 'private')
    return { skR, pkR: undefined }
  }
}

 
 
 







export class ValidationError extends Error {
  constructor(message         , options                      ) {
    super(message, options)
    this.name = 'ValidationError'
     
    Error.captureStackTrace?.(this, ValidationError)
  }
}







export class DeserializeError extends Error {
  constructor(message         , options                      ) {
    super(message, options)
    this.name = 'DeserializeError'
     
    Error.captureStackTrace?.(this, DeserializeError)
  }
}







export class EncapError extends Error {
  constructor(message         , options                      ) {
    super(message, options)
    this.name = 'EncapError'
     
    Error.captureStackTrace?.(this, EncapError)
  }
}







export class DecapError extends Error {
  constructor(message         , options                      ) {
    super(message, options)
    this.name = 'DecapError'
     
    Error.captureStackTrace?.(this, DecapError)
  }
}







export class OpenError extends Error {
  constructor(message         , options                      ) {
    super(message, options)
    this.name = 'OpenError'
     
    Error.captureStackTrace?.(this, OpenError)
  }
}







export class MessageLimitReachedError extends Error {
  constructor(message         , options                      ) {
    super(message, options)
    this.name = 'MessageLimitReachedError'
     
    Error.captureStackTrace?.(this, MessageLimitReachedError)
  }
}







export class DeriveKeyPairError extends Error {
  constructor(message         , options                      ) {
    super(message, options)
    this.name = 'DeriveKeyPairError'
     
    Error.captureStackTrace?.(this, DeriveKeyPairError)
  }
}







export class NotSupportedError extends Error {
  constructor(message         , options                      ) {
    super(message, options)
    this.name = 'NotSupportedError'
     
    Error.captureStackTrace?.(this, NotSupportedError)
  }
}

 
 
 

                                       
                         
                                
                             
                               
 









export const MODE_BASE = 0x00










export const MODE_PSK = 0x01

 
                                                     



































                                                                    





















                                            


















                                              


















                                               
                                                        
                                 
                                                         
                                  
 











                      
                                     
                       
                                                
                
   

                                                   
                               

                                               
                                                     
 








                                                   
                                                                       
 
                                
                               









                                       
                                      
                               
                       
                           
 

 
 
 










export function concat(...buffers              )             {
  const size = buffers.reduce((acc, { length }) => acc + length, 0)
  const buf = new Uint8Array(size)
  let i = 0
  for (const buffer of buffers) {
    buf.set(buffer, i)
    i += buffer.length
  }
  return buf
}

function slice(buffer            , start         , end         ) {
  return Uint8Array.prototype.slice.call(buffer, start, end)
}












export function encode(string        )             {
  const bytes = new Uint8Array(string.length)
  for (let i = 0; i < string.length; i++) {
    const code = string.charCodeAt(i)
    if (code > 0x7f) {
      throw new TypeError('Input string must contain only ASCII characters')
    }
    bytes[i] = code
  }
  return bytes
}

 
 
 
 
const L_HPKE_v1 = /* @__PURE__ */ encode('HPKE-v1')
const L_HPKE = /* @__PURE__ */ encode('HPKE')
const L_KEM = /* @__PURE__ */ encode('KEM')
const L_sec = /* @__PURE__ */ encode('sec')
const L_secret = /* @__PURE__ */ encode('secret')
const L_key = /* @__PURE__ */ encode('key')
const L_base_nonce = /* @__PURE__ */ encode('base_nonce')
const L_exp = /* @__PURE__ */ encode('exp')
const L_psk_id_hash = /* @__PURE__ */ encode('psk_id_hash')
const L_info_hash = /* @__PURE__ */ encode('info_hash')
const L_dkp_prk = /* @__PURE__ */ encode('dkp_prk')
const L_candidate = /* @__PURE__ */ encode('candidate')
const L_eae_prk = /* @__PURE__ */ encode('eae_prk')
const L_shared_secret = /* @__PURE__ */ encode('shared_secret')
const L_sk = /* @__PURE__ */ encode('sk')
const L_public_key_recovery = /* @__PURE__ */ encode('HPKE public key recovery')
const L_DeriveKeyPair = /* @__PURE__ */ encode('DeriveKeyPair')

function lengthPrefixed(x            )             {
  return concat(I2OSP(x.byteLength, 2), x)
}

 
 
 




















export async function LabeledDerive(
  KDF                     ,
  suite_id            ,
  ikm            ,
  label            ,
  context            ,
  L        ,
)                      {
  const labeled_ikm = concat(ikm, L_HPKE_v1, suite_id, lengthPrefixed(label), I2OSP(L, 2), context)
  return await KDF.Derive(labeled_ikm, L)
}

 
async function Export_OneStage(
  KDF     ,
  suite_id            ,
  exporter_secret            ,
  exporter_context            ,
  L        ,
) {
  checkLength(exporter_context, 'Exporter context', MAX_LENGTH_ONE_STAGE)
  return await LabeledDerive(KDF, suite_id, exporter_secret, L_sec, exporter_context, L)
}

 
async function CombineSecrets_OneStage(
  suite        ,
  mode        ,
  shared_secret            ,
  info            ,
  psk            ,
  psk_id            ,
) {
  checkLength(psk, 'PSK', MAX_LENGTH_ONE_STAGE)
  checkLength(psk_id, 'PSK ID', MAX_LENGTH_ONE_STAGE)
  checkLength(info, 'Info', MAX_LENGTH_ONE_STAGE)

  const secrets = concat(lengthPrefixed(psk), lengthPrefixed(shared_secret))
  const context = concat(I2OSP(mode, 1), lengthPrefixed(psk_id), lengthPrefixed(info))

  const secret = await LabeledDerive(
    suite.KDF,
    suite.id,
    secrets,
    L_secret,
    context,
    suite.AEAD.Nk + suite.AEAD.Nn + suite.KDF.Nh,
  )

  const key = slice(secret, 0, suite.AEAD.Nk)
  const base_nonce = slice(secret, suite.AEAD.Nk, suite.AEAD.Nk + suite.AEAD.Nn)
  const exporter_secret = slice(secret, suite.AEAD.Nk + suite.AEAD.Nn)

  return { key, base_nonce, exporter_secret }
}

 
 
const MAX_LENGTH_TWO_STAGE = 0xffff
 
const MAX_LENGTH_ONE_STAGE = 0xffff

function checkLength(data            , name        , maxLength        ) {
  if (data.byteLength > maxLength) {
    throw new TypeError(`${name} length must not exceed ${maxLength} bytes`)
  }
}
function checkUint8Array(input         , name        )                              {
  if (!(input instanceof Uint8Array)) {
    throw new TypeError(`"${name}" must be Uint8Array`)
  }
  if (typeof SharedArrayBuffer !== 'undefined' && input.buffer instanceof SharedArrayBuffer) {
    throw new TypeError(`"${name}" must not be backed by a SharedArrayBuffer`)
  }
}
function checkExtractable(extractable         )                                 {
  if (typeof extractable !== 'boolean') {
    throw new TypeError('"extractable" must be boolean')
  }
}

 
async function CombineSecrets_TwoStage(
  suite        ,
  mode        ,
  shared_secret            ,
  info            ,
  psk            ,
  psk_id            ,
) {
  checkLength(psk, 'PSK', MAX_LENGTH_TWO_STAGE)
  checkLength(psk_id, 'PSK ID', MAX_LENGTH_TWO_STAGE)
  checkLength(info, 'Info', MAX_LENGTH_TWO_STAGE)

  const [psk_id_hash, info_hash] = await Promise.all([
    LabeledExtract(suite.KDF, suite.id, new Uint8Array(), L_psk_id_hash, psk_id),
    LabeledExtract(suite.KDF, suite.id, new Uint8Array(), L_info_hash, info),
  ])

  const key_schedule_context = concat(I2OSP(mode, 1), psk_id_hash, info_hash)
  const secret = await LabeledExtract(suite.KDF, suite.id, shared_secret, L_secret, psk)

   
  if (suite.AEAD.id === EXPORT_ONLY) {
    const exporter_secret = await LabeledExpand(
      suite.KDF,
      suite.id,
      secret,
      L_exp,
      key_schedule_context,
      suite.KDF.Nh,
    )
    return { key: new Uint8Array(), base_nonce: new Uint8Array(), exporter_secret }
  }

  const [key, base_nonce, exporter_secret] = await Promise.all([
    LabeledExpand(suite.KDF, suite.id, secret, L_key, key_schedule_context, suite.AEAD.Nk),
    LabeledExpand(suite.KDF, suite.id, secret, L_base_nonce, key_schedule_context, suite.AEAD.Nn),
    LabeledExpand(suite.KDF, suite.id, secret, L_exp, key_schedule_context, suite.KDF.Nh),
  ])

  return { key, base_nonce, exporter_secret }
}

 
async function Export_TwoStage(
  KDF     ,
  suite_id            ,
  exporter_secret            ,
  exporter_context            ,
  L        ,
) {
  checkLength(exporter_context, 'Exporter context', MAX_LENGTH_TWO_STAGE)
  return await LabeledExpand(KDF, suite_id, exporter_secret, L_sec, exporter_context, L)
}




































































                      
                                 
                     

                                         
                      

                                                 
                       

     
                                                                   
    
                                                                                  
     
                     

                                                                        
                        

     
                                                            
    
                             
                                       
    
                                                         
     
                                                                 

     
                                                      
    
                                  
                                                               
                                                                 
    
                                                               
     
                                                                           

     
                                                                                
    
                                                       
                                                                 
    
                                                               
     
                                                                 
 

 
 
 


















export async function LabeledExtract(
  KDF                      ,
  suite_id            ,
  salt            ,
  label            ,
  ikm            ,
)                      {
  const labeled_ikm = concat(L_HPKE_v1, suite_id, label, ikm)
  return await KDF.Extract(salt, labeled_ikm)
}




















export async function LabeledExpand(
  KDF                     ,
  suite_id            ,
  prk            ,
  label            ,
  info            ,
  L        ,
)                      {
  const labeled_info = concat(I2OSP(L, 2), L_HPKE_v1, suite_id, label, info)
  return await KDF.Expand(prk, labeled_info, L)
}

 
 
 































































































                                           
                                 
                     

                                         
                      

                                                 
                       

                                                                    
                          

                                                                       
                       

                                                     
                      

                                                      
                      

     
                                                                     
    
                                                                                          
                                                                       
    
                                                      
     
                                                                           

     
                                 
    
                                                                       
    
                                                      
     
                                                            

     
                                      
    
                                             
    
                                                              
     
                                                 

     
                                          
    
                                                                                             
    
                                                                                        
     
                                                   

     
                                       
    
                                              
    
                                                               
     
                                                  

     
                                           
    
                                                                                              
                                                                       
    
                                                                                        
     
                                                                          

     
                                                              
    
                                                                                             
                                                                                             
               
    
                                            
    
                                                                                                   
     
                                                                        

     
                                                                  
    
                                                                                                
                                  
    
                                                                
                                             
                                                                                                   
                            
    
                                                      
     
                                                                         
 

function isKeyPair               (skR                )                    {
  if (!skR || typeof skR !== 'object') return false
  if ('publicKey' in skR && 'privateKey' in skR) {
    const pkR = skR.publicKey
    skR = skR.privateKey
    try {
      isKey(pkR, 'public')
      isKey(skR, 'private')
      if (pkR.algorithm.name !== skR.algorithm.name) {
        throw new TypeError('key pair algorithms do not match')
      }
    } catch (cause) {
      throw new TypeError('Invalid "privateKey"', { cause })
    }
    return true
  }
  return false
}

function isKey(key         , type        , extractable          )                     {
  const k = key       
  if (
    typeof k.algorithm !== 'object' ||
    typeof k.algorithm.name !== 'string' ||
    typeof k.extractable !== 'boolean' ||
    typeof k.type !== 'string' ||
    k.type !== type
  ) {
    throw new TypeError(`Invalid "${type}Key"`)
  }

  if (extractable && k.extractable !== true) {
    throw new TypeError(`"${type}Key" must be extractable`)
  }
}

 
 
 
























































                       
                                  
                     

                                          
                       

                                                  
                       

                                               
                     

                                                 
                     

                                                                
                     

     
                                                               
    
                                                                                                    
                                                                                             
                                                                                                  
                                                               
    
                                                        
                                                 
                                               
                                     
    
                                                                                    
                                                                                                                       
     
                                                                                                

     
                                                           
    
                                                        
                                                 
                                               
                                                            
    
                                                            
     
                                                                                                
 

 
 
 













export function I2OSP(n        , w        )             {
  if (!Number.isSafeInteger(w) || w <= 0) {
    throw new Error('w must be a positive safe integer')
  }
  if (!Number.isSafeInteger(n) || n < 0) {
    throw new Error('n must be a non-negative safe integer')
  }
  const max = Math.pow(256, w)
  if (n >= max) {
    throw new Error('n too large to fit in w-length byte string')
  }
  const ret = new Uint8Array(w)
  let num = n
  for (let i = 0; i < w && num; i++) {
    ret[w - (i + 1)] = num % 256
    num = Math.floor(num / 256)
  }
  return ret
}

function KDFStages(KDF     )        {
  if (KDF.stages === 1 || KDF.stages === 2) {
    return KDF.stages
  }
   
  throw new Error('unreachable')
}

 
async function KeySchedule(
  suite        ,
  mode        ,
  shared_secret            ,
  info             ,
  psk             ,
  pskId             ,
) {
  info ??= new Uint8Array()
  checkUint8Array(info, 'info')
  psk ??= new Uint8Array()
  checkUint8Array(psk, 'psk')
  pskId ??= new Uint8Array()
  checkUint8Array(pskId, 'pskId')

  const stages = KDFStages(suite.KDF)
  const CombineSecrets = stages === 1 ? CombineSecrets_OneStage : CombineSecrets_TwoStage

  VerifyPSKInputs(psk, pskId)
  return await CombineSecrets(suite, mode, shared_secret, info, psk, pskId)
}

 
function VerifyPSKInputs(psk            , psk_id            ) {
  if (psk.byteLength && psk_id.byteLength) {
    if (psk.byteLength < 32) {
      throw new TypeError('Insufficient PSK length')
    }
    return
  }
  if (!psk.byteLength && !psk_id.byteLength) {
    return
  }
  throw new TypeError('Inconsistent PSK inputs')
}

 
const NotApplicable = () => {
  throw new Error('unreachable')
}

const EXPORT_ONLY = 0xffff
const AES_GCM_P_MAX = 2 ** 36 - 31
const CHACHA20_POLY1305_P_MAX = 2 ** 38 - 64












export const AEAD_EXPORT_ONLY              = function ()       {
  return {
    id: EXPORT_ONLY,
    type: 'AEAD',
    name: 'Export-only',
    Nk: 0,
    Nn: 0,
    Nt: 0,
    Seal: NotApplicable,
    Open: NotApplicable,
  }
}

 
 
 

async function subtle   (promise                                      , name        )             {
  try {
    return await promise(crypto.subtle)
  } catch (cause) {
    if (
      cause instanceof TypeError ||
      (cause instanceof DOMException && cause.name === 'NotSupportedError')
    ) {
      throw new NotSupportedError(`${name} is unsupported in this runtime`, { cause })
    }
    throw cause
  }
}

                            
                       
 

                                                                     

                               
                   
                         
 

async function getCachedCryptoKey(
  cache                                          ,
  keyBytes            ,
  init                                           ,
)                     {
  const cached = cache.get(keyBytes)
  if (
    cached &&
    cached.bytes.byteLength === keyBytes.byteLength &&
    cached.bytes.every((byte, index) => byte === keyBytes[index])
  ) {
    return cached.key
  }

  const bytes = slice(keyBytes)
  const entry = { bytes, key: init(bytes) }
  cache.set(keyBytes, entry)
  try {
    return await entry.key
  } catch (cause) {
    if (cache.get(keyBytes) === entry) cache.delete(keyBytes)
    throw cause
  }
}

function HKDF_SHARED()           {
  let emptySalt                       
  async function importKey(            salt              )                     {
    return await subtle(
      (c) => c.importKey('raw', salt, { name: 'HMAC', hash: this.hash }, false, ['sign']),
      this.name,
    )
  }
  const cache = new WeakMap                                 ()
  return {
    stages: 2,
    Derive: NotApplicable,
    async Extract(            salt, ikm) {
      const key =
        salt.byteLength === 0
          ? (emptySalt ??= await importKey.call(this, new ArrayBuffer(this.Nh)))
          : await importKey.call(this, salt                )
      return new Uint8Array(
        await subtle((c) => c.sign('HMAC', key, ikm                ), this.name),
      )
    },
    async Expand(            prk, info, L) {
      if (prk.byteLength < this.Nh) {
        throw new Error('prk.byteLength < this.Nh')
      }
      if (L > 255 * this.Nh) {
        throw new Error('L must be <= 255*Nh')
      }
      const N = Math.ceil(L / this.Nh)
      const key = await getCachedCryptoKey(cache, prk, (bytes) =>
        importKey.call(this, bytes                ),
      )

      const T = new Uint8Array(N * this.Nh)
      let T_prev = new Uint8Array()

      for (let i = 0; i < N; i++) {
        const input = new Uint8Array(T_prev.byteLength + info.byteLength + 1)
        input.set(T_prev)
        input.set(info, T_prev.byteLength)
        input[T_prev.byteLength + info.byteLength] = i + 1

        const T_i = new Uint8Array(await subtle((c) => c.sign('HMAC', key, input), this.name))

        T.set(T_i, i * this.Nh)
        T_prev = T_i
      }

      return slice(T, 0, L)
    },
  }
}

 
 
 




















export const KDF_HKDF_SHA256             = function ()       {
  return { id: 0x0001, type: 'KDF', name: 'HKDF-SHA256', Nh: 32, hash: 'SHA-256', ...HKDF_SHARED() }
}




















export const KDF_HKDF_SHA384             = function ()       {
  return { id: 0x0002, type: 'KDF', name: 'HKDF-SHA384', Nh: 48, hash: 'SHA-384', ...HKDF_SHARED() }
}




















export const KDF_HKDF_SHA512             = function ()       {
  return { id: 0x0003, type: 'KDF', name: 'HKDF-SHA512', Nh: 64, hash: 'SHA-512', ...HKDF_SHARED() }
}

 
 
 

                             
                            
 

async function ShakeDerive(name        , variant        , ikm              , L        ) {
  const bits = L << 3
  const alg = { name: variant, length: bits, outputLength: bits }
  return new Uint8Array(await subtle((c) => c.digest(alg, ikm), name))
}

function SHAKE_SHARED()           {
  return {
    stages: 1,
    async Derive(             labeled_ikm, L        ) {
      return await ShakeDerive(this.name, this.algorithm, labeled_ikm                , L)
    },
    Extract: NotApplicable,
    Expand: NotApplicable,
  }
}




















export const KDF_SHAKE128             = function ()        {
  return {
    id: 0x0010,
    type: 'KDF',
    name: 'SHAKE128',
    Nh: 32,
    algorithm: 'cSHAKE128',
    ...SHAKE_SHARED(),
  }
}




















export const KDF_SHAKE256             = function ()        {
  return {
    id: 0x0011,
    type: 'KDF',
    name: 'SHAKE256',
    Nh: 64,
    algorithm: 'cSHAKE256',
    ...SHAKE_SHARED(),
  }
}




















export const KDF_TurboSHAKE128             = function ()        {
  return {
    id: 0x0012,
    type: 'KDF',
    name: 'TurboSHAKE128',
    Nh: 32,
    algorithm: 'TurboSHAKE128',
    ...SHAKE_SHARED(),
  }
}




















export const KDF_TurboSHAKE256             = function ()        {
  return {
    id: 0x0013,
    type: 'KDF',
    name: 'TurboSHAKE256',
    Nh: 64,
    algorithm: 'TurboSHAKE256',
    ...SHAKE_SHARED(),
  }
}

async function getPublicKeyByExport(
  name        ,
  key           ,
  usages            ,
)                     {
  if (!key.extractable) {
    throw new TypeError(
      '"privateKey" must be extractable or a Key Pair must be used in this runtime',
    )
  }

  return await subtle(async (c) => {
    const jwk = await c.exportKey('jwk', key)
    return c.importKey(
      'jwk',
      { kty: jwk.kty, crv: jwk.crv, x: jwk.x, y: jwk.y }              ,
      key.algorithm,
      true,
      usages,
    )
  }, name)
}

async function getPublicKey(name        , key           , usages            )                     {
  return (
     
    ((await subtle((c) => c.getPublicKey?.(key, usages), name))             ) ||
    (await getPublicKeyByExport(name, key, usages))
  )
}

                                          
         
                     
                   
                        
                          
                         
                           
           
           
 

                                        
                               
                      
                   
                                                             
 

function fromBase64(input        ) {
  input = input.replace(/-/g, '+').replace(/_/g, '/')
  const binary = atob(input)
  const bytes = new Uint8Array(binary.length)
  for (let i = 0; i < binary.length; i++) {
    bytes[i] = binary.charCodeAt(i)
  }
  return bytes
}

function toBase64Url(bytes            )         {
  let binary = ''
  for (let i = 0; i < bytes.length; i++) {
    binary += String.fromCharCode(bytes[i] )
  }
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

function toB64u(input            ) {
   
  return input.toBase64?.({ alphabet: 'base64url', omitPadding: true }) || toBase64Url(input)
}

function b64u(input        )             {
   
  return Uint8Array.fromBase64?.(input, { alphabet: 'base64url' }) || fromBase64(input)
}

 
 
 

 
async function DeriveKeyPairBytes(
  DHKEM       ,
  ikm            ,
  label            ,
  context            ,
) {
  if (KDFStages(DHKEM.kdf) === 1) {
    return await LabeledDerive(DHKEM.kdf, DHKEM.suite_id, ikm, label, context, DHKEM.Nsk)
  }

  const dkp_prk = await LabeledExtract(DHKEM.kdf, DHKEM.suite_id, new Uint8Array(), L_dkp_prk, ikm)
  return await LabeledExpand(DHKEM.kdf, DHKEM.suite_id, dkp_prk, label, context, DHKEM.Nsk)
}

function OS2IP(x            )         {
  let result = 0n
  for (let i = 0; i < x.byteLength; i++) {
    result = result * 256n + BigInt(x[i] )
  }
  return result
}

function bigIntToUint8Array(value        , byteLength        )             {
  const result = new Uint8Array(byteLength)
  let n = value

  for (let i = byteLength - 1; i >= 0; i--) {
    result[i] = Number(n & 0xffn)
    n = n >> 8n
  }

  return result
}

function assertKeyAlgorithm(key     , expectedAlgorithm              ) {
  if (key.algorithm.name !== expectedAlgorithm.name) {
    throw new TypeError(`key algorithm must be ${expectedAlgorithm.name}`)
  }
  if (
    (key.algorithm                  ).namedCurve !==
    (expectedAlgorithm                  ).namedCurve
  ) {
    throw new TypeError(
      `key namedCurve must be ${(expectedAlgorithm                  ).namedCurve}`,
    )
  }
}

function assertCryptoKey(key     )                           {
   
  if (key[Symbol.toStringTag] !== 'CryptoKey') {
    if (key instanceof CryptoKey) return
    throw new TypeError('unexpected key constructor')
  }
}

 
async function ExtractAndExpand_OneStage(
  DHKEM       ,
  dh            ,
  kem_context            ,
)                      {
  return await LabeledDerive(
    DHKEM.kdf,
    DHKEM.suite_id,
    dh,
    L_shared_secret,
    kem_context,
    DHKEM.Nsecret,
  )
}

 
async function ExtractAndExpand_TwoStage(
  DHKEM       ,
  dh            ,
  kem_context            ,
)                      {
  const eae_prk = await LabeledExtract(DHKEM.kdf, DHKEM.suite_id, new Uint8Array(), L_eae_prk, dh)
  return await LabeledExpand(
    DHKEM.kdf,
    DHKEM.suite_id,
    eae_prk,
    L_shared_secret,
    kem_context,
    DHKEM.Nsecret,
  )
}

 
async function ExtractAndExpand(
  DHKEM       ,
  dh            ,
  kem_context            ,
)                      {
  const Fn = KDFStages(DHKEM.kdf) === 1 ? ExtractAndExpand_OneStage : ExtractAndExpand_TwoStage
  return await Fn(DHKEM, dh, kem_context)
}

 
 
 

function DHKEM_SHARED()           
                                                                      
  {
  return {
    async GenerateKeyPair(             extractable) {
      return (await subtle(
        (c) => c.generateKey(this.algorithm, extractable, ['deriveBits']),
        this.name,
      ))                 
    },
    async SerializePublicKey(             key) {
      assertKeyAlgorithm(key, this.algorithm)
      assertCryptoKey(key)
      return new Uint8Array(await subtle((c) => c.exportKey('raw', key), this.name))
    },
    async DeserializePublicKey(             key) {
      return await subtle(
        (c) => c.importKey('raw', key                , this.algorithm, true, []),
        this.name,
      )
    },
    async SerializePrivateKey(             key) {
      assertKeyAlgorithm(key, this.algorithm)
      assertCryptoKey(key)
      const { d } = await subtle((c) => c.exportKey('jwk', key), this.name)
      return b64u(d )
    },
    async Encap(             pkR) {
      assertKeyAlgorithm(pkR, this.algorithm)
      assertCryptoKey(pkR)

      const ekp = (await this.GenerateKeyPair(false))                 
      const skE = ekp.privateKey
      const pkE = ekp.publicKey

       
       
      const dh = new Uint8Array(
        await subtle(
          (c) => c.deriveBits({ name: skE.algorithm.name, public: pkR }, skE, this.Ndh << 3),
          this.name,
        ),
      )

      const enc = await this.SerializePublicKey(pkE)
      const pkRm = await this.SerializePublicKey(pkR)
      const kem_context = concat(enc, pkRm)
      const shared_secret = await ExtractAndExpand(this, dh, kem_context)
      return { shared_secret, enc }
    },
    async Decap(             enc, skR, pkR) {
      assertKeyAlgorithm(skR, this.algorithm)
      assertCryptoKey(skR)
      if (pkR) {
        assertKeyAlgorithm(pkR, this.algorithm)
        assertCryptoKey(pkR)
      } else {
        pkR = await getPublicKey(this.name, skR, [])
      }

      const pkE = (await this.DeserializePublicKey(enc))             

       
       
      const dh = new Uint8Array(
        await subtle(
          (c) => c.deriveBits({ name: skR.algorithm.name, public: pkE }, skR, this.Ndh << 3),
          this.name,
        ),
      )

      const pkRm = await this.SerializePublicKey(pkR)
      const kem_context = concat(enc, pkRm)
      const shared_secret = await ExtractAndExpand(this, dh, kem_context)
      return shared_secret
    },
  }
}

 
 
 

async function createKeyPairFromPrivateKey(
  DHKEM       ,
  key            ,
  extractable         ,
)                         {
  let privateKey           
  let publicKey           
   
  if (!extractable && typeof crypto.subtle.getPublicKey !== 'function') {
    privateKey = (await DHKEM.DeserializePrivateKey(key, true))             
    publicKey = await getPublicKey(DHKEM.name, privateKey, [])
    privateKey = (await DHKEM.DeserializePrivateKey(key, false))             
  } else {
    privateKey = (await DHKEM.DeserializePrivateKey(key, extractable))             
    publicKey = await getPublicKey(DHKEM.name, privateKey, [])
  }
  return { privateKey, publicKey }
}

async function CurveKeyFromD(
  name        ,
  Nsk        ,
  template            ,
  algorithm              ,
  key            ,
  extractable         ,
) {
  const tmpl = slice(template)
  const pkcs8 = new Uint8Array(Nsk + tmpl.byteLength)
  pkcs8.set(tmpl)
  pkcs8.set(key, tmpl.byteLength)
  return await subtle(
    (c) => c.importKey('pkcs8', pkcs8, algorithm, extractable, ['deriveBits']),
    name,
  )
}

 
 
 

                           
               
                 
            
            
                   
                  
                           
             
             
 

async function importKeyNist(
  curve                 ,
  key            ,
  name        ,
  extractable         ,
  includePublicKey         ,
)                                                            {
  const d = OS2IP(key)
  if (d === 0n || d >= curve.order) {
    throw new Error('Invalid scalar')
  }

   
  const pkcs8 = concat(curve.pkcs8, key)
  return await subtle(async (c) => {
    async function fromJwk(jwk            , privateKey            ) {
      privateKey ??= await c.importKey('jwk', jwk, curve.algorithm, extractable, ['deriveBits'])
      delete jwk.d
      return {
        privateKey,
        publicKey: includePublicKey
          ? await c.importKey('jwk', jwk, curve.algorithm, true, [])
          : undefined,
      }
    }

    let privateKey                       
     
    const nativePublicKey = typeof c.getPublicKey === 'function'
    try {
      privateKey = await c.importKey(
        'pkcs8',
        pkcs8                ,
        curve.algorithm,
        nativePublicKey ? extractable : true,
        ['deriveBits'],
      )
      if (nativePublicKey) {
         
         
        const recovered = await c.getPublicKey(privateKey, [])
        return { privateKey, publicKey: includePublicKey ? recovered : undefined }
      }
      const { x, y, d } = await c.exportKey('jwk', privateKey)
      return fromJwk(
        { kty: 'EC', crv: curve.algorithm.namedCurve, x, y, d },
        extractable ? privateKey : undefined,
      )
    } catch (cause) {
       
       
       
       
      if (
        !(cause instanceof DOMException) ||
        (cause.name !== 'DataError' && cause.name !== 'OperationError')
      ) {
        throw cause
      }
    }

    const generator             = {
      kty: 'EC',
      crv: curve.algorithm.namedCurve,
      x: toB64u(bigIntToUint8Array(curve.Gx, curve.Nsk)),
      y: toB64u(bigIntToUint8Array(curve.Gy, curve.Nsk)),
    }
    const jwk = { ...generator, d: toB64u(slice(pkcs8, curve.pkcs8.length)) }
    const signingAlgorithm = { name: 'ECDSA', namedCurve: curve.algorithm.namedCurve }
    const signingKey = privateKey
      ? await c.importKey('pkcs8', pkcs8                , signingAlgorithm, false, ['sign'])
      : await c.importKey('jwk', jwk, signingAlgorithm, false, ['sign'])
    privateKey ??= await c.importKey('jwk', jwk, curve.algorithm, false, ['deriveBits'])

     
     
    const generatorKey = await c.importKey('jwk', generator, curve.algorithm, true, [])
    const x = new Uint8Array(
      await c.deriveBits({ name: 'ECDH', public: generatorKey }, privateKey, curve.Nsk << 3),
    )

     
     
    const message = L_public_key_recovery                
    const signatureAlgorithm = { name: 'ECDSA', hash: 'SHA-256' }
    const signature = await c.sign(signatureAlgorithm, signingKey, message)
    for (const prefix of [0x02, 0x03]) {
      const spki = concat(curve.spki, Uint8Array.of(prefix), x)
      const candidate = await c.importKey('spki', spki                , signingAlgorithm, true, [
        'verify',
      ])
      if (await c.verify(signatureAlgorithm, candidate, signature, message)) {
        const { x, y } = await c.exportKey('jwk', candidate)
        return fromJwk({ kty: 'EC', crv: generator.crv, d: jwk.d, x, y })
      }
    }
    throw new Error('Public key recovery failed')
  }, name)
}

async function DeserializePrivateKeyNist(
                                
  key            ,
  extractable         ,
) {
  return (await importKeyNist(this, key, this.name, extractable, false)).privateKey
}

 
async function DeriveKeyPairNist(
                                
  ikm            ,
  extractable         ,
) {
  let sk = 0n
  let counter = 0
  let candidate            
  while (sk === 0n || sk >= this.order) {
    if (counter > 255) {
      throw new DeriveKeyPairError('Key derivation exceeded maximum iterations')
    }
    candidate = await DeriveKeyPairBytes(this, ikm, L_candidate, I2OSP(counter, 1))
    candidate[0] = candidate[0]  & this.bitmask
    sk = OS2IP(candidate)
    counter = counter + 1
  }

  return GetKeyPairNist(this, candidate , extractable, this.name)
}

async function GetKeyPairNist(
  curveConfig                           ,
  sk            ,
  extractable         ,
  name        ,
) {
  return (await importKeyNist(curveConfig, sk, name, extractable, true))                 
}

 
 
 

 
async function DeriveKeyPairX(             ikm            , extractable         ) {
  const sk = await DeriveKeyPairBytes(this, ikm, L_sk, new Uint8Array())
  return await createKeyPairFromPrivateKey(this, sk, extractable)
}

 
 
 

const P256                  = {
  algorithm: { name: 'ECDH', namedCurve: 'P-256' },
  Npk: 65,
  Nsk: 32,
  order: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  bitmask: 0xff,
  pkcs8: /* @__PURE__ */ Uint8Array.of(0x30, 0x41, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x27, 0x30, 0x25, 0x02, 0x01, 0x01, 0x04, 0x20),  
  spki: /* @__PURE__ */ Uint8Array.of(0x30, 0x39, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x22, 0x00),  
  Gx: 0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296n,
  Gy: 0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5n,
}





















export const KEM_DHKEM_P256_HKDF_SHA256                        = function ()         
                  {
  const id = 0x0010
  const name = 'DHKEM(P-256, HKDF-SHA256)'
  const kdf = KDF_HKDF_SHA256()
   
  kdf.name = name
  return {
    id,
    suite_id: concat(L_KEM, I2OSP(id, 2)),
    type: 'KEM',
    name,
    kdf,
    Nsecret: 32,
    Nenc: 65,
    Ndh: 32,
    ...P256,
    DeriveKeyPair: DeriveKeyPairNist,
    DeserializePrivateKey: DeserializePrivateKeyNist,
    ...DHKEM_SHARED(),
  }
}

const P384                  = {
  algorithm: { name: 'ECDH', namedCurve: 'P-384' },
  Npk: 97,
  Nsk: 48,
  order:
    0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
  bitmask: 0xff,
  pkcs8: /* @__PURE__ */ Uint8Array.of(0x30, 0x4e, 0x02, 0x01, 0x00, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22, 0x04, 0x37, 0x30, 0x35, 0x02, 0x01, 0x01, 0x04, 0x30),  
  spki: /* @__PURE__ */ Uint8Array.of(0x30, 0x46, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22, 0x03, 0x32, 0x00),  
  Gx: 0xaa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7n,
  Gy: 0x3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5fn,
}





















export const KEM_DHKEM_P384_HKDF_SHA384                        = function ()         
                  {
  const id = 0x0011
  const name = 'DHKEM(P-384, HKDF-SHA384)'
  const kdf = KDF_HKDF_SHA384()
   
  kdf.name = name
  return {
    id,
    suite_id: concat(L_KEM, I2OSP(id, 2)),
    type: 'KEM',
    name,
    kdf,
    Nsecret: 48,
    Nenc: 97,
    Ndh: 48,
    ...P384,
    DeriveKeyPair: DeriveKeyPairNist,
    DeserializePrivateKey: DeserializePrivateKeyNist,
    ...DHKEM_SHARED(),
  }
}

const P521                  = {
  Npk: 133,
  Nsk: 66,
  algorithm: { name: 'ECDH', namedCurve: 'P-521' },
  order:
    0x01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409n,
  bitmask: 0x01,
  pkcs8: /* @__PURE__ */ Uint8Array.of(0x30, 0x60, 0x02, 0x01, 0x00, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23, 0x04, 0x49, 0x30, 0x47, 0x02, 0x01, 0x01, 0x04, 0x42),  
  spki: /* @__PURE__ */ Uint8Array.of(0x30, 0x58, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23, 0x03, 0x44, 0x00),  
  Gx: 0x00c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66n,
  Gy: 0x011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650n,
}





















export const KEM_DHKEM_P521_HKDF_SHA512                        = function ()         
                  {
  const id = 0x0012
  const name = 'DHKEM(P-521, HKDF-SHA512)'
  const kdf = KDF_HKDF_SHA512()
   
  kdf.name = name
  return {
    id,
    suite_id: concat(L_KEM, I2OSP(id, 2)),
    type: 'KEM',
    name,
    kdf,
    Nsecret: 64,
    Nenc: 133,
    Ndh: 66,
    ...P521,
    DeriveKeyPair: DeriveKeyPairNist,
    DeserializePrivateKey: DeserializePrivateKeyNist,
    ...DHKEM_SHARED(),
  }
}

 
 
 





















export const KEM_DHKEM_X25519_HKDF_SHA256                        = function ()           
                   
  {
  const id = 0x0020
  const name = 'DHKEM(X25519, HKDF-SHA256)'
  const kdf = KDF_HKDF_SHA256()
   
  kdf.name = name
  return {
    id,
    suite_id: concat(L_KEM, I2OSP(id, 2)),
    type: 'KEM',
    name,
    kdf,
    Nsecret: 32,
    Nenc: 32,
    Npk: 32,
    Nsk: 32,
    Ndh: 32,
    algorithm: { name: 'X25519' },
    pkcs8: Uint8Array.of(0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x04, 0x22, 0x04, 0x20),  
    DeriveKeyPair: DeriveKeyPairX,
    async DeserializePrivateKey(key, extractable) {
      return await CurveKeyFromD(name, this.Nsk, this.pkcs8, this.algorithm, key, extractable)
    },
    ...DHKEM_SHARED(),
  }
}





















export const KEM_DHKEM_X448_HKDF_SHA512                        = function ()           
                   
  {
  const id = 0x0021
  const name = 'DHKEM(X448, HKDF-SHA512)'
  const kdf = KDF_HKDF_SHA512()
   
  kdf.name = name
  return {
    id,
    suite_id: concat(L_KEM, I2OSP(id, 2)),
    type: 'KEM',
    name,
    kdf,
    Nsecret: 64,
    Nenc: 56,
    Npk: 56,
    Nsk: 56,
    Ndh: 56,
    algorithm: { name: 'X448' },
    pkcs8: Uint8Array.of(0x30, 0x46, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6f, 0x04, 0x3a, 0x04, 0x38),  
    DeriveKeyPair: DeriveKeyPairX,
    async DeserializePrivateKey(key, extractable) {
      return await CurveKeyFromD(name, this.Nsk, this.pkcs8, this.algorithm, key, extractable)
    },
    ...DHKEM_SHARED(),
  }
}

 
 
 

                                                                              

                                            
                               
                                            
                   
 

function DIRECT_KEM_SHARED()                      {
  return {
    async DeriveKeyPair(                 ikm, extractable) {
      const dk = await LabeledDerive(
        this.kdf,
        this.suite_id,
        ikm,
        L_DeriveKeyPair,
        new Uint8Array(),
        this.Nsk,
      )

      const privateKey = (await this.DeserializePrivateKey(dk, extractable))             
       
      const usages             = ['encapsulateBits']
      const publicKey = await getPublicKey(this.name, privateKey, usages)

      return { privateKey, publicKey }
    },
    async GenerateKeyPair(                 extractable) {
       
      const usages             = ['encapsulateBits', 'decapsulateBits']
      return (await subtle(
        (c) => c.generateKey(this.algorithm, extractable, usages),
        this.name,
      ))                 
    },
    async SerializePublicKey(                 key) {
      assertKeyAlgorithm(key, this.algorithm)
      assertCryptoKey(key)
       
      const format                            = 'raw-public'
      return new Uint8Array(await subtle((c) => c.exportKey(format, key), this.name))
    },
    async DeserializePublicKey(                 key) {
       
      const format                            = 'raw-public'
       
      const usages             = ['encapsulateBits']
      return await subtle(
        (c) => c.importKey(format, key                , this.algorithm, true, usages),
        this.name,
      )
    },
    async SerializePrivateKey(                 key) {
      assertKeyAlgorithm(key, this.algorithm)
      assertCryptoKey(key)
       
      const format                            = 'raw-seed'
      return new Uint8Array(await subtle((c) => c.exportKey(format, key), this.name))
    },
    async DeserializePrivateKey(                 key, extractable) {
       
      const format                            = 'raw-seed'
       
      const usages             = ['decapsulateBits']
      return await subtle(
        (c) => c.importKey(format, key                , this.algorithm, extractable, usages),
        this.name,
      )
    },
    async Encap(                 pkR) {
      assertKeyAlgorithm(pkR, this.algorithm)

      const { sharedKey, ciphertext } = (await subtle(
         
        (c) => c.encapsulateBits(this.algorithm, pkR),
        this.name,
      ))                                                       

      return { shared_secret: new Uint8Array(sharedKey), enc: new Uint8Array(ciphertext) }
    },
    async Decap(                 enc, skR, _pkR) {
      assertKeyAlgorithm(skR, this.algorithm)
      return new Uint8Array(
        await subtle(
           
          (c) => c.decapsulateBits(this.algorithm, skR, enc                ),
          this.name,
        ),
      )
    },
  }
}

function createDirectKEM({ id, name, Nsecret, Nenc, Npk, Nsk }           )            {
  const kdf = KDF_SHAKE256()
   
  kdf.name = name
  return {
    id,
    suite_id: concat(L_KEM, I2OSP(id, 2)),
    type: 'KEM',
    name,
    Nsecret,
    Nenc,
    Npk,
    Nsk,
    algorithm: { name },
    kdf,
    ...DIRECT_KEM_SHARED(),
  }
}

 
 
 
























export const KEM_ML_KEM_512                        = function ()            {
  const id = 0x0040
  const name = 'ML-KEM-512'
  const Nsecret = 32
  const Nenc = 768
  const Npk = 800
  const Nsk = 64
  return createDirectKEM({ id, name, Nsecret, Nenc, Npk, Nsk })
}




















export const KEM_ML_KEM_768                        = function ()            {
  const id = 0x0041
  const name = 'ML-KEM-768'
  const Nsecret = 32
  const Nenc = 1088
  const Npk = 1184
  const Nsk = 64
  return createDirectKEM({ id, name, Nsecret, Nenc, Npk, Nsk })
}




















export const KEM_ML_KEM_1024                        = function ()            {
  const id = 0x0042
  const name = 'ML-KEM-1024'
  const Nsecret = 32
  const Nenc = 1568
  const Npk = 1568
  const Nsk = 64
  return createDirectKEM({ id, name, Nsecret, Nenc, Npk, Nsk })
}

                                      
                            
                                               
 

                                            

function AEAD_SHARED(P_MAX        )            {
   
   
   
   
   
  const cache = new WeakMap                                 ()
  async function importKey(                     key            )                     {
    return await subtle(
      (c) =>
        c.importKey(this.keyFormat, key                , this.algorithm, false, [
          'encrypt',
          'decrypt',
        ]),
      this.name,
    )
  }
  return {
    async Seal(                     key, nonce, aad, pt) {
      if (pt.byteLength > P_MAX) {
        throw new RangeError('"pt" exceeds P_MAX')
      }
      const cryptoKey = await getCachedCryptoKey(cache, key, (bytes) => importKey.call(this, bytes))
      return new Uint8Array(
        await subtle(
          (c) =>
            c.encrypt(
              {
                name: this.algorithm,
                iv: nonce                ,
                additionalData: aad                ,
              },
              cryptoKey,
              pt                ,
            ),
          this.name,
        ),
      )
    },
    async Open(                     key, nonce, aad, ct) {
      const cryptoKey = await getCachedCryptoKey(cache, key, (bytes) => importKey.call(this, bytes))
      return new Uint8Array(
        await subtle(
          (c) =>
            c.decrypt(
              {
                name: this.algorithm,
                iv: nonce                ,
                additionalData: aad                ,
              },
              cryptoKey,
              ct                ,
            ),
          this.name,
        ),
      )
    },
  }
}

 
 
 



















export const AEAD_AES_128_GCM              = function ()                {
  return {
    id: 0x0001,
    type: 'AEAD',
    name: 'AES-128-GCM',
    Nk: 16,
    Nn: 12,
    Nt: 16,
    algorithm: 'AES-GCM',
    keyFormat: 'raw',
    ...AEAD_SHARED(AES_GCM_P_MAX),
  }
}



















export const AEAD_AES_256_GCM              = function ()                {
  return {
    id: 0x0002,
    type: 'AEAD',
    name: 'AES-256-GCM',
    Nk: 32,
    Nn: 12,
    Nt: 16,
    algorithm: 'AES-GCM',
    keyFormat: 'raw',
    ...AEAD_SHARED(AES_GCM_P_MAX),
  }
}



















export const AEAD_ChaCha20Poly1305              = function AEAD_ChaCha20Poly1305()                {
  return {
    id: 0x0003,
    type: 'AEAD',
    name: 'ChaCha20Poly1305',
    Nk: 32,
    Nn: 12,
    Nt: 16,
    algorithm: 'ChaCha20-Poly1305',
     
    keyFormat: 'raw-secret',
    ...AEAD_SHARED(CHACHA20_POLY1305_P_MAX),
  }
}

 
 
 

 
const InvalidInvocation = (_             ) => {
  if (_ !== priv) {
    throw new Error('invalid invocation')
  }
}
const priv = /* @__PURE__ */ Symbol()
class HybridKey                {
  #algorithm              
  #type                      
  #extractable         
  #t           
  #pq           
  #seed                         
  #publicKey                        

  static #isValid(key           )          {
    return key.#algorithm !== undefined
  }

  static validate(key         , extractable          )                           {
    try {
      if (!HybridKey.#isValid(key             )) {
        throw new TypeError('unexpected key constructor')
      }
    } catch {
      throw new TypeError('unexpected key constructor')
    }
    if (extractable && !(key             ).extractable) {
      throw new TypeError('key must be extractable')
    }
  }

  constructor(
    _             ,
    algorithm              ,
    type                      ,
    extractable         ,
    pq           ,
    t           ,
    seed             ,
    publicKey            ,
  ) {
    InvalidInvocation(_)
    this.#algorithm = algorithm
    this.#type = type
    this.#extractable = extractable
    this.#pq = pq
    this.#t = t
    this.#seed = seed
    this.#publicKey = publicKey
  }

  get algorithm() {
    return { name: this.#algorithm.name }
  }

  get extractable() {
    return this.#extractable
  }

  get type() {
    return this.#type
  }

  getPublicKey(_             ) {
    InvalidInvocation(_)
    return this.#publicKey
  }

  getSeed(_             ) {
    InvalidInvocation(_)
    return slice(this.#seed )
  }

  getT(_             ) {
    InvalidInvocation(_)
    return this.#t
  }

  getPq(_             ) {
    InvalidInvocation(_)
    return this.#pq
  }
}

function split(N1        , N2        , x            )                           {
  if (x.byteLength !== N1 + N2) {
    throw new Error('x.byteLength !== N1 + N2')
  }

  const x1 = slice(x, 0, N1)
  const x2 = slice(x, -N2)

  return [x1, x2]
}

function RandomScalarNist(t                         , seed            )             {
  let sk_bigint = 0n
  let start = 0
  let end = t.Nscalar 
  sk_bigint = OS2IP(slice(seed, start, end))

  while (sk_bigint === 0n || sk_bigint >= t.order ) {
    start = end
    end = end + t.Nscalar 
    if (end > seed.byteLength) {
      throw new DeriveKeyPairError('Rejection sampling failed')
    }
    sk_bigint = OS2IP(slice(seed, start, end))
  }
  return bigIntToUint8Array(sk_bigint, t.Nscalar )
}

 
async function expandDecapsKeyG(kem                    , seed            ) {
  const Nout = kem.pq.Nseed + kem.t.Nseed
  const bits = Nout << 3
   
  const algorithm               = { name: 'cSHAKE256', length: bits, outputLength: bits }
  const seed_full = await subtle((c) => c.digest(algorithm, seed                ), kem.name)

  const [seed_PQ, seed_T] = split(kem.pq.Nseed, kem.t.Nseed, new Uint8Array(seed_full))

   
  const format                            = 'raw-seed'
   
  const usages                       = ['decapsulateBits', 'encapsulateBits']
  const dk_PQ = await subtle(
    (c) => c.importKey(format, seed_PQ                , kem.pq.algorithm, true, [usages[0]]),
    kem.name,
  )
  const ek_PQ = await getPublicKey(kem.name, dk_PQ, [usages[1]])

  const sk = kem.t.RandomScalar?.(seed_T) ?? seed_T
  const { privateKey: dk_T, publicKey: ek_T } = await kem.t.GetKeyPair(sk)

  return { ek_PQ, ek_T, dk_PQ, dk_T }
}

 
async function C2PRICombiner(
  kem                    ,
  ss_PQ            ,
  ss_T            ,
  ct_T            ,
  _ek_T           ,
  label            ,
)                      {
  const ek_T = new Uint8Array(await subtle((c) => c.exportKey('raw', _ek_T), kem.name))
  const data = concat(ss_PQ, ss_T, ct_T, ek_T, label)                
  return new Uint8Array(await subtle((c) => c.digest('SHA3-256', data), kem.name))
}

 
async function prepareEncapsG(
  kem                    ,
  ek_PQ           ,
  ek_T           ,
)                                                            {
  const res = (await subtle(
     
    (c) => c.encapsulateBits(kem.pq.algorithm, ek_PQ),
    kem.name,
  ))                                                       
  const ss_PQ = new Uint8Array(res.sharedKey)
  const ct_PQ = new Uint8Array(res.ciphertext)

  const { privateKey: sk_E, publicKey } = (await subtle(
    (c) => c.generateKey(kem.t.algorithm, true, ['deriveBits']),
    kem.name,
  ))                 
  const ct_T = new Uint8Array(await subtle((c) => c.exportKey('raw', publicKey), kem.name))

  const ss_T = new Uint8Array(
    await subtle(
      (c) => c.deriveBits({ name: kem.t.algorithm.name, public: ek_T }, sk_E, kem.t.Nss << 3),
      kem.name,
    ),
  )

  return [ss_PQ, ss_T, ct_PQ, ct_T]
}

 
async function prepareDecapsG(
  kem                    ,
  dk_PQ           ,
  dk_T           ,
  ct_PQ            ,
  ct_T            ,
)                                    {
  const ss_PQ = new Uint8Array(
    await subtle(
       
      (c) => c.decapsulateBits(kem.pq.algorithm, dk_PQ, ct_PQ),
      kem.name,
    ),
  )

  const pub = await subtle(
    (c) => c.importKey('raw', ct_T                , kem.t.algorithm, true, []),
    kem.name,
  )

  const ss_T = new Uint8Array(
    await subtle(
      (c) => c.deriveBits({ name: kem.t.algorithm.name, public: pub }, dk_T, kem.t.Nss << 3),
      kem.name,
    ),
  )

  return [ss_PQ, ss_T]
}

                                                     
                               
                   
                                  
                            
                
                                    
                          
                        
                        
   
               
                                                     
                          
                        
                        
                        
                        
                             
                          
                                    
                     
                                                                 
                           
                                                                                           
   
 

                                                                                          

function COMPOSITE_HYBRID_KEM_SHARED()                      {
  Object.freeze(HybridKey.prototype)
  return {
    async DeriveKeyPair(                          ikm            , extractable) {
      const seed = await LabeledDerive(
        this.kdf,
        this.suite_id,
        ikm,
        L_DeriveKeyPair,
        new Uint8Array(),
        32,
      )

      const { ek_PQ, ek_T, dk_PQ, dk_T } = await expandDecapsKeyG(this, seed)

      const publicKey = new HybridKey(priv, this.algorithm, 'public', true, ek_PQ, ek_T)
      const privateKey = new HybridKey(
        priv,
        this.algorithm,
        'private',
        extractable,
        dk_PQ,
        dk_T,
        seed,
        publicKey,
      )

      return { privateKey, publicKey }
    },
    async GenerateKeyPair(                          extractable) {
      return await this.DeriveKeyPair(crypto.getRandomValues(new Uint8Array(32)), extractable)
    },
    async SerializePublicKey(                          key) {
      assertKeyAlgorithm(key, this.algorithm)
      HybridKey.validate(key, true)
       
      const format                            = 'raw-public'
      const ek_PQ = new Uint8Array(
        await subtle((c) => c.exportKey(format, key.getPq(priv)), this.name),
      )
      const ek_T = new Uint8Array(
        await subtle((c) => c.exportKey('raw', key.getT(priv)), this.name),
      )

      return concat(ek_PQ, ek_T)
    },
    async DeserializePublicKey(                          key) {
       
      const format                            = 'raw-public'
       
      const usages             = ['encapsulateBits']
      const pubPq = key.subarray(0, this.pq.Npk)                
      const pubT = key.subarray(this.pq.Npk)                
      const [ek_PQ, ek_T] = await Promise.all([
        subtle((c) => c.importKey(format, pubPq, this.pq.algorithm, true, usages), this.name),
        subtle((c) => c.importKey('raw', pubT, this.t.algorithm, true, []), this.name),
      ])

      return new HybridKey(priv, this.algorithm, 'public', true, ek_PQ, ek_T)
    },
    async SerializePrivateKey(                          key) {
      assertKeyAlgorithm(key, this.algorithm)
      HybridKey.validate(key, true)

      return key.getSeed(priv)
    },
    async DeserializePrivateKey(                          key, extractable) {
      const seed = slice(key)
      const { ek_PQ, ek_T, dk_PQ, dk_T } = await expandDecapsKeyG(this, seed)
      const publicKey = new HybridKey(priv, this.algorithm, 'public', true, ek_PQ, ek_T)
      const privateKey = new HybridKey(
        priv,
        this.algorithm,
        'private',
        extractable,
        dk_PQ,
        dk_T,
        seed,
        publicKey,
      )

      return privateKey
    },
    async Encap(                          pkR) {
      assertKeyAlgorithm(pkR, this.algorithm)
      HybridKey.validate(pkR)

      const ek_PQ = pkR.getPq(priv)
      const ek_T = pkR.getT(priv)
      const [ss_PQ, ss_T, ct_PQ, ct_T] = await prepareEncapsG(this, ek_PQ, ek_T)
      const ss_H = await C2PRICombiner(this, ss_PQ, ss_T, ct_T, ek_T, this.label)
      const ct_H = concat(ct_PQ, ct_T)

      return { shared_secret: ss_H, enc: ct_H }
    },
    async Decap(                          enc, skR, pkR) {
      assertKeyAlgorithm(skR, this.algorithm)
      HybridKey.validate(skR)

      if (pkR) {
        assertKeyAlgorithm(pkR, this.algorithm)
        HybridKey.validate(pkR)
      }

      const [ct_PQ, ct_T] = split(this.pq.Nct, this.t.Nct, enc)
      const ek = pkR ?? skR.getPublicKey(priv) 
      const ek_T = ek.getT(priv)
      const dk_PQ = skR.getPq(priv)
      const dk_T = skR.getT(priv)
      const [ss_PQ, ss_T] = await prepareDecapsG(this, dk_PQ, dk_T, ct_PQ, ct_T)
      const ss_H = await C2PRICombiner(this, ss_PQ, ss_T, ct_T, ek_T, this.label)

      return ss_H
    },
  }
}

function createCompositeHybridKEM(parameters                          )                     {
  const kdf = KDF_SHAKE256()
   
  kdf.name = parameters.name
  return {
    ...parameters,
    suite_id: concat(L_KEM, I2OSP(parameters.id, 2)),
    type: 'KEM',
    algorithm: { name: parameters.name },
    kdf,
    ...COMPOSITE_HYBRID_KEM_SHARED(),
  }
}

 
 
 


























export const KEM_MLKEM768_X25519             = function ()                                 {
  const id = 0x647a
  const name = 'MLKEM768-X25519'
  const Nsecret = 32
  const Nenc = 1120
  const Npk = 1216
  const Nsk = 32
  const kem = { id, name, Nsecret, Nenc, Npk, Nsk }
   
  if (SubtleCrypto.supports?.('generateKey', name) ?? false) {
    return createDirectKEM(kem)
  }

  const pkcs8 = Uint8Array.of(0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x04, 0x22, 0x04, 0x20)  
  return createCompositeHybridKEM({
    ...kem,
    pq: { algorithm: { name: 'ML-KEM-768' }, Nseed: 64, Npk: 1184, Nct: 1088 },
    t: {
      algorithm: { name: 'X25519' },
      Nseed: 32,
      Npk: 32,
      Nss: 32,
      Nsk: 32,
      Nct: 32,
      async GetKeyPair(sk) {
        const privateKey = await CurveKeyFromD(name, this.Nsk, pkcs8, this.algorithm, sk, true)
        const publicKey = await getPublicKey(name, privateKey, [])

        return { privateKey, publicKey }
      },
    },
    label: Uint8Array.of(0x5c, 0x2e, 0x2f, 0x2f, 0x5e, 0x5c),  
  })
}


























export const KEM_MLKEM768_P256             = function ()                                 {
  const id = 0x0050
  const name = 'MLKEM768-P256'
  const Nsecret = 32
  const Nenc = 1153
  const Npk = 1249
  const Nsk = 32
  const kem = { id, name, Nsecret, Nenc, Npk, Nsk }
   
  if (SubtleCrypto.supports?.('generateKey', name) ?? false) {
    return createDirectKEM(kem)
  }

  return createCompositeHybridKEM({
    ...kem,
    pq: { algorithm: { name: 'ML-KEM-768' }, Nseed: 64, Npk: 1184, Nct: 1088 },
    t: {
      ...P256,
      Nseed: 128,
      Nss: 32,
      Nct: 65,
      Nscalar: 32,
      order: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
      RandomScalar(seed) {
        return RandomScalarNist(this, seed)
      },
      GetKeyPair(sk) {
        return GetKeyPairNist(P256, sk, true, name)
      },
    },
    label: Uint8Array.of(0x4d, 0x4c, 0x4b, 0x45, 0x4d, 0x37, 0x36, 0x38, 0x2d, 0x50, 0x32, 0x35, 0x36),  
  })
}


























export const KEM_MLKEM1024_P384             = function ()                                 {
  const id = 0x0051
  const name = 'MLKEM1024-P384'
  const Nsecret = 32
  const Nenc = 1665
  const Npk = 1665
  const Nsk = 32
  const kem = { id, name, Nsecret, Nenc, Npk, Nsk }
   
  if (SubtleCrypto.supports?.('generateKey', name) ?? false) {
    return createDirectKEM(kem)
  }

  return createCompositeHybridKEM({
    ...kem,
    pq: { algorithm: { name: 'ML-KEM-1024' }, Nseed: 64, Npk: 1568, Nct: 1568 },
    t: {
      ...P384,
      Nseed: 48,
      Nss: 48,
      Nct: 97,
      Nscalar: 48,
      order:
        0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
      RandomScalar(seed) {
        return RandomScalarNist(this, seed)
      },
      GetKeyPair(sk) {
        return GetKeyPairNist(P384, sk, true, name)
      },
    },
    label: Uint8Array.of(0x4d, 0x4c, 0x4b, 0x45, 0x4d, 0x31, 0x30, 0x32, 0x34, 0x2d, 0x50, 0x33, 0x38, 0x34),  
  })
}

// Seal and sign parts as docs/reference/messages.md says, over WebCrypto alone; the same file runs in browsers and Node.
// HPKE (RFC 9180) is the npm package `hpke`, vendored beside this file as it was published.


export const SUITE = "P256+HKDF-SHA256+AES-256-GCM";
export const PARTS = "/v1/parts";
const MESSAGE_CONTEXT = "tallystick-message-v1";
const PAGE_CONTEXT = "tallystick-page-v1";
const MEDIA_TYPE = "application/json";
const COVERED = ["@method", "@path", "content-digest", "content-type", "idempotency-key"];
const COVERED_WITHOUT_BODY = ["@method", "@path"];
const NAME_BYTES = 16; // bytes of a name derived from a link
const KEY_BYTES = 32; // bytes of a MAC key
const NONCE_BYTES = 16; // random bytes of a nonce and of an Idempotency-Key

/** An answer that is no 2xx: `code` is stable, `remedy` is for the person, `field` names what is wrong. */
export class Problem extends Error {
  constructor(status, document) {
    super(document.detail || `status ${status}`);
    this.name = "Problem";
    this.status = status;
    this.code = document.code || "unreadable";
    this.remedy = document.remedy || "";
    this.field = document.field;
  }
}

/** Encode texts so that no other list of texts gives the same bytes: each behind its length, four bytes big-endian. */
export function bindTexts(...texts) {
  const parts = texts.map((text) => new TextEncoder().encode(text));
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + 4 + part.length, 0));
  let at = 0;
  for (const part of parts) {
    new DataView(joined.buffer).setUint32(at, part.length);
    joined.set(part, at + 4);
    at += 4 + part.length;
  }
  return joined;
}

export function toBase64(bytes) {
  return btoa(String.fromCharCode(...bytes));
}

export function toBase64url(bytes) {
  return toBase64(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

export function fromBase64url(text) {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
}

function toHex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Make a nonce or an Idempotency-Key: 128 random bits in hex. */
export function freshNonce() {
  return toHex(crypto.getRandomValues(new Uint8Array(NONCE_BYTES)));
}

async function deriveBytes(root, purpose, length) {
  const key = await crypto.subtle.importKey("raw", root, "HKDF", false, ["deriveBits"]);
  const info = new TextEncoder().encode(purpose);
  const how = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(0), info };
  return new Uint8Array(await crypto.subtle.deriveBits(how, key, 8 * length));
}

/** Derive the name and MAC key of a page's link from its secret: what stands behind `#`, or a typed code. */
export async function linkKeys(secret) {
  const root = bindTexts(PAGE_CONTEXT, secret);
  const name = await deriveBytes(root, "tallystick page name", NAME_BYTES);
  return { sender: `cap_${toHex(name)}`, key: await deriveBytes(root, "tallystick page key", KEY_BYTES) };
}

/** Derive the name and MAC key of the session that a page starts with `nonce` under its link's key. */
export async function sessionKeys(linkKey, nonce) {
  const root = await deriveBytes(linkKey, `tallystick page session ${nonce}`, KEY_BYTES);
  const name = await deriveBytes(root, "tallystick page name", NAME_BYTES);
  return { sender: `ses_${toHex(name)}`, key: await deriveBytes(root, "tallystick page key", KEY_BYTES) };
}

/** Return who signs with a MAC key of 32 bytes: `sender` is the id of the channel, institution or session. */
export async function macSigner(sender, key) {
  if (key.length < KEY_BYTES) throw new TypeError(`a MAC key has at least ${KEY_BYTES} bytes`);
  const held = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return { sender, algorithm: "hmac-sha256", sign: (data) => crypto.subtle.sign("HMAC", held, data) };
}

/** Return who signs with an ECDSA P-256 private key (a CryptoKey that need not be extractable). */
export function ecdsaSigner(sender, privateKey) {
  const how = { name: "ECDSA", hash: "SHA-256" };
  return { sender, algorithm: "ecdsa-p256-sha256", sign: (data) => crypto.subtle.sign(how, privateKey, data) };
}

/** Choose the newest key of the browser's suite that is valid at `now` (ms); throws when there is none. */
export function newestKey(list, now) {
  const usable = list.keys.filter((key) => key.suite === SUITE && key.not_before <= now && now < key.not_after);
  if (usable.length === 0) throw new Error("the platform publishes no key for browsers that is valid now");
  return usable.reduce((best, key) => (key.not_before > best.not_before ? key : best));
}

/**
 * Read a key list (compact JWS). With `identity`, the platform's pinned Ed25519 key (32 raw bytes), its signature is
 * proven; without it the list is as authentic as the TLS connection that it came over, as for a page of the platform.
 */
export async function readKeyList(token, identity) {
  const [header, payload, signature] = token.trim().split(".");
  if (identity) {
    const { alg, kid, typ } = JSON.parse(new TextDecoder().decode(fromBase64url(header)));
    const key = await crypto.subtle.importKey("raw", identity, { name: "Ed25519" }, false, ["verify"]);
    const signed = new TextEncoder().encode(`${header}.${payload}`);
    const expected = alg === "Ed25519" && kid === "identity" && typ === "tallystick-keys+jws";
    if (!expected || !(await crypto.subtle.verify("Ed25519", key, fromBase64url(signature), signed))) {
      throw new Error("the key list is not signed by the platform's identity key");
    }
  }
  return JSON.parse(new TextDecoder().decode(fromBase64url(payload)));
}

/**
 * Seal `content` for a published key and sign the POST that carries it; returns what `fetch` takes.
 *
 * A retry repeats `idempotencyKey` and `content`, with a fresh nonce. `bound` are the texts of a created payment:
 * exactly what the payer was shown, so that a changed payee or amount makes the part worthless.
 */
export async function sealedRequest(signer, published, target, content, options = {}) {
  const created = options.created ?? Math.floor(Date.now() / 1000);
  const nonce = options.nonce ?? freshNonce();
  const bound = options.bound ?? [];
  const info = bindTexts(MESSAGE_CONTEXT, target, published.id, signer.sender, String(created), nonce, ...bound);
  const suite = new CipherSuite(KEM_DHKEM_P256_HKDF_SHA256, KDF_HKDF_SHA256, AEAD_AES_256_GCM);
  const key = await suite.DeserializePublicKey(fromBase64url(published.public));
  const clear = new TextEncoder().encode(JSON.stringify(content));
  const { encapsulatedSecret, ciphertext } = await suite.Seal(key, clear, { info });
  const sealed = toBase64url(new Uint8Array([...encapsulatedSecret, ...ciphertext]));
  const envelope = { v: 1, key_id: published.id, format: "hpke", sealed };
  if (bound.length > 0) envelope.payment = bound[0];
  return signedRequest(signer, "POST", target, JSON.stringify(envelope), { ...options, created, nonce });
}

/** Sign a request that holds nothing secret (RFC 9421 over method, path and, with a body, digest, type and key). */
export async function signedRequest(signer, method, target, body = "", options = {}) {
  const created = options.created ?? Math.floor(Date.now() / 1000);
  const nonce = options.nonce ?? freshNonce();
  const headers = {};
  if (body) {
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(body));
    headers["content-type"] = MEDIA_TYPE;
    headers["idempotency-key"] = options.idempotencyKey ?? freshNonce();
    headers["content-digest"] = `sha-256=:${toBase64(new Uint8Array(digest))}:`;
  }
  const covered = body ? COVERED : COVERED_WITHOUT_BODY;
  const derived = { "@method": method, "@path": target.split("?")[0] };
  const lines = covered.map((name) => `"${name}": ${derived[name] ?? headers[name]}\n`);
  const names = covered.map((name) => `"${name}"`).join(" ");
  const raw = `(${names});created=${created};keyid="${signer.sender}";alg="${signer.algorithm}";nonce="${nonce}"`;
  const base = new TextEncoder().encode(`${lines.join("")}"@signature-params": ${raw}`);
  headers["signature-input"] = `sig1=${raw}`;
  headers.signature = `sig1=:${toBase64(new Uint8Array(await signer.sign(base)))}:`;
  return { method, target, headers, body: body || undefined };
}

/** Send a request; returns the answer's JSON, or throws `Problem`. A network error is fetch's own TypeError. */
export async function send(origin, request, options = {}) {
  const { method, target, headers, body } = request;
  const answer = await fetch(`${origin}${target}`, { method, headers, body, redirect: "error", ...options });
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Problem(answer.status, told);
  return told;
}

// Every text a payer sees, by language. A language without a text of its own shows English.

const LANGUAGES = {
  en: {
    payTo: "Pay to", asks: "Asked by {who}", reference: "Reference: {what}", loading: "Opening your payment…",
    pan: "Card number", panHint: "The long number on the front; spaces do not matter",
    expiry: "Valid until (month / year)", expiryHint: "For example 04/29",
    account: "Account", accountHint: "As provider:name, for example qianbao:li.lei",
    username: "User name", usernameHint: "The name you registered with",
    institution: "Pay from", institutionHint: "Where you stored the account or card that pays",
    number: "Your number", numberHint: "The 8 digits we sent you, or those your authenticator app shows now",
    secret: "Payment password", secretHint: "The payment password of the account; never your card’s PIN",
    password: "Password", passwordHint: "The password of your user name",
    joinTitle: "Sign up to pay", joinSplit: "You enter one half here and the other half on your phone. No password is typed on this page.",
    newName: "User name", newNameHint: "Choose one without spaces",
    contact: "Mobile number or e-mail", contactHint: "We send a code there; for example +86 138 0013 8000",
    joinSend: "Send me the code", joinSent: "Now take your phone", joinQr: "QR code that opens the sign-up page on your phone",
    joinSentHow: "A code is on its way to {contact}. Point the phone’s camera at this picture, then type the code there.",
    joinTyped: "No camera? Open {where} on the phone.", joinNowhere: "No bank or wallet takes sign-ups here yet.",
    joinCode: "Enter your code", joinCodeHow: "It came by message or e-mail. Type it only on a page that you opened from your own computer’s screen.",
    joinFinish: "Finish signing up", joinFinishHow: "You are {username} and will pay from {institution}.",
    newPassword: "New password", newPasswordHint: "At least 12 characters, used nowhere else", joinDo: "Sign up",
    joinWantsApp: "I use an authenticator app instead of numbers by message", joinApp: "Set up the authenticator app",
    joined2: "You are signed up", joined2How: "Pay with your user name {username}. You can close this page.",
    badContact: "Enter a number beginning with +, or an e-mail address", badPassword: "Enter at least 12 characters",
    already_exists: "This user name is taken, or it is yours and the password is another one. Nothing was changed.",
    continue: "Continue on your phone", approve: "Approve and pay", decline: "Decline", cancel: "Cancel this payment",
    handOver: "Let somebody else pay", newCode: "Show a new code", copy: "Copy the link", copied: "Copied", share: "Send the link",
    splitNote: "You enter one half here and the other half on your phone. Neither half alone can pay.",
    phoneNote: "Your computer sent the other half. Check what you pay before you approve.",
    scan: "Now take your phone", scanHow: "Point its camera at this code. The page that opens shows the same payee and amount.",
    qrLabel: "QR code that opens this payment on your phone",
    typed: "No camera? Open {where} on the phone and type", waiting: "Waiting for your phone…",
    codeOver: "The code has run out. Nothing is lost: show a new one.",
    joinedTitle: "Continue on your phone", joined: "A phone has joined. Check that it shows the number {number}.",
    match: "Number on both screens", notMine: "Not my phone: show a new code",
    otherTitle: "Somebody else pays", otherHow: "Send this link to the person who pays. It works once, on their own device, and you never see what they type. You will see here how it ended.",
    otherWaiting: "Waiting for the other person…", otherQr: "QR code of the link for the person who pays",
    app: "Use your bank’s app", appHow: "The other half of this payment is a card PIN. A PIN is never typed into a browser: use your bank’s app.",
    sent: "Your half is there. Waiting for the other one…", processing: "Paying…",
    approved: "Paid", approvedHow: "{payee} has been paid {amount}. You can close this page.",
    declined: "Not paid", declinedHow: "The payment was declined. Nothing was taken. Start again from the shop to try another way.",
    refused: "Not paid", refusedHow: "What was entered does not fit together, so nothing was sent. Start again from the shop.",
    cancelled: "Cancelled", cancelledHow: "This payment was cancelled. Nothing was taken.",
    expired: "Time is over", expiredHow: "This payment waited too long and what was typed is erased. Nothing was taken. Start again from the shop.",
    undelivered: "Not paid", undeliveredHow: "The payment could not be delivered. Nothing was taken.",
    reversed: "Undone", reversedHow: "The payment was undone. Nothing is taken.",
    unknown: "Not known yet", unknownHow: "Your bank has not said yet whether the payment went through. Do not pay again: this page will tell you.",
    manual: "Being looked into", manualHow: "Somebody is finding out how the payment ended. Do not pay again.",
    print: "Print", back: "Back to the shop", done: "Done", offline: "No connection. Trying again…", expires: "Please finish by {time}.",
    soon: "Less than a minute is left. What you have typed is erased when time is over.",
    codeTitle: "Enter the code", codeLabel: "Code from the other screen", codeHint: "14 letters and digits; spaces do not matter",
    open: "Open the payment", problems: "Please correct this", noLink: "This address needs a link",
    noLinkHow: "Open the payment from the shop again.", failed: "This did not work",
    badPan: "Enter 12 to 19 digits", badNumber: "A number has 8 digits", badExpiry: "Enter month and year, for example 04/29", badAccount: "Enter the account as provider:name",
    missing: "Enter this", badCode: "A code has 14 letters and digits",
    link_refused: "This link was used or has run out. Show a new code on the other screen, or open the payment from the shop again.",
    same_channel: "Both halves would come from one browser. Open this page on another device, or in another browser.",
    not_independent: "For this amount the other half must come from another device or network. Nothing you typed elsewhere is lost.",
    already_final: "This payment has ended already.", too_many: "Too many tries. Wait a minute, then try again.",
    unavailable: "The service is busy. Try again in a moment.",
  },
  "zh-CN": {
    payTo: "付款给", asks: "付款请求来自{who}", reference: "订单：{what}", loading: "正在打开付款…",
    pan: "卡号", panHint: "卡片正面的长号码，空格不影响", expiry: "有效期（月/年）", expiryHint: "例如 04/29",
    account: "账户", accountHint: "格式为 机构:名称，例如 qianbao:li.lei", username: "用户名", usernameHint: "您注册时使用的名称",
    institution: "付款机构", institutionHint: "您存有账户或银行卡的机构", number: "动态号码", numberHint: "我们发送给您的 8 位数字，或验证器应用当前显示的数字",
    secret: "支付密码", secretHint: "账户的支付密码，不是银行卡密码", password: "密码", passwordHint: "该用户名的密码",
    joinTitle: "注册付款账户", joinSplit: "一半信息在此输入，另一半在手机上输入。此页面不输入任何密码。",
    newName: "用户名", newNameHint: "请选择一个不含空格的名称", contact: "手机号码或电子邮箱", contactHint: "我们会发送代码，例如 +86 138 0013 8000",
    joinSend: "发送代码", joinSent: "请拿起手机", joinQr: "在手机上打开注册页面的二维码", joinSentHow: "代码正在发送到 {contact}。用手机相机扫描此图，然后在手机上输入代码。",
    joinTyped: "无法扫码？在手机上打开 {where}。", joinNowhere: "目前没有可注册的机构。", joinCode: "输入代码", joinCodeHow: "代码通过短信或电子邮件发送。请只在由您自己电脑屏幕打开的页面上输入。",
    joinFinish: "完成注册", joinFinishHow: "您的用户名是 {username}，付款机构为 {institution}。", newPassword: "新密码", newPasswordHint: "至少 12 个字符，请勿在别处使用",
    joinDo: "注册", joinWantsApp: "使用验证器应用代替短信号码", joinApp: "设置验证器应用", joined2: "注册成功", joined2How: "请用用户名 {username} 付款。您可以关闭此页面。",
    badContact: "请输入以 + 开头的号码或电子邮箱", badPassword: "请输入至少 12 个字符", already_exists: "此用户名已被使用，或密码与注册时不同。未作任何更改。",
    continue: "在手机上继续", approve: "确认付款", decline: "拒绝付款", cancel: "取消这笔付款", handOver: "请别人代付",
    newCode: "显示新的二维码", copy: "复制链接", copied: "已复制", share: "发送链接",
    splitNote: "一半信息在此输入，另一半在手机上输入。任何一半都无法单独付款。",
    phoneNote: "另一半信息由电脑发送。确认前请核对付款内容。", scan: "请拿起手机",
    scanHow: "用手机相机扫描此码。打开的页面会显示相同的收款方和金额。", qrLabel: "在手机上打开这笔付款的二维码",
    typed: "无法扫码？在手机上打开 {where} 并输入", waiting: "正在等待您的手机…", codeOver: "二维码已过期，已输入的内容仍然有效，请显示新的二维码。",
    joinedTitle: "请在手机上继续", joined: "手机已加入。请确认手机上显示的数字是 {number}。", match: "两个屏幕上的数字", notMine: "不是我的手机：显示新的二维码",
    otherTitle: "请别人代付", otherHow: "把此链接发给付款人。链接只能使用一次，您看不到对方输入的内容。付款结果会显示在这里。",
    otherWaiting: "正在等待对方付款…", otherQr: "付款人链接的二维码", app: "请使用银行应用",
    appHow: "这笔付款的另一半是银行卡密码。银行卡密码绝不在浏览器中输入，请使用银行应用。",
    sent: "您的一半已送达，正在等待另一半…", processing: "正在付款…", approved: "付款成功", approvedHow: "已向{payee}支付 {amount}。您可以关闭此页面。",
    declined: "未付款", declinedHow: "付款被拒绝，没有扣款。请从商家重新开始。", refused: "未付款", refusedHow: "输入的信息不匹配，没有扣款。请从商家重新开始。",
    cancelled: "已取消", cancelledHow: "这笔付款已取消，没有扣款。", expired: "已超时", expiredHow: "等待时间过长，输入的内容已清除，没有扣款。请从商家重新开始。",
    undelivered: "未付款", undeliveredHow: "付款无法送达，没有扣款。", reversed: "已撤销", reversedHow: "这笔付款已撤销，不会扣款。",
    unknown: "结果未知", unknownHow: "银行尚未告知结果。请勿重复付款，此页面会显示结果。", manual: "正在核查", manualHow: "工作人员正在核查付款结果。请勿重复付款。",
    print: "打印", back: "返回商家", done: "完成", offline: "没有网络连接，正在重试…", expires: "请在 {time} 前完成。", soon: "剩余不到一分钟，超时后输入的内容会被清除。",
    codeTitle: "输入代码", codeLabel: "另一个屏幕上的代码", codeHint: "14 位字母和数字，空格不影响", open: "打开付款", problems: "请更正",
    noLink: "此地址需要链接", noLinkHow: "请从商家重新打开付款。", failed: "操作未成功", badPan: "请输入 12 至 19 位数字", badNumber: "动态号码为 8 位数字",
    badExpiry: "请输入月和年，例如 04/29", badAccount: "请按 机构:名称 输入账户", missing: "请填写此项", badCode: "代码为 14 位字母和数字",
    link_refused: "此链接已使用或已过期。请在另一个屏幕上显示新的二维码，或从商家重新打开付款。",
    same_channel: "两半信息来自同一个浏览器。请在另一台设备或另一个浏览器中打开此页面。",
    not_independent: "此金额要求另一半信息来自另一台设备或网络。您在别处输入的内容不会丢失。",
    already_final: "这笔付款已经结束。", too_many: "尝试次数过多，请稍等一分钟再试。", unavailable: "服务繁忙，请稍后再试。",
  },
  ar: {
    payTo: "الدفع إلى", asks: "الطلب من {who}", reference: "المرجع: {what}", loading: "جارٍ فتح عملية الدفع…",
    pan: "رقم البطاقة", panHint: "الرقم الطويل على وجه البطاقة، والمسافات لا تهم", expiry: "صالحة حتى (شهر / سنة)", expiryHint: "مثال: 04/29",
    account: "الحساب", accountHint: "بصيغة المزود:الاسم، مثال qianbao:li.lei", username: "اسم المستخدم", usernameHint: "الاسم الذي سجلت به",
    institution: "الدفع من", institutionHint: "حيث حفظت الحساب أو البطاقة", number: "رقمك", numberHint: "الأرقام الثمانية التي أرسلناها إليك أو التي يعرضها تطبيق المصادقة", badNumber: "الرقم من 8 أرقام",
    secret: "كلمة مرور الدفع", secretHint: "كلمة مرور الدفع للحساب، وليست الرقم السري للبطاقة", password: "كلمة المرور", passwordHint: "كلمة مرور اسم المستخدم",
    continue: "المتابعة على الهاتف", approve: "الموافقة والدفع", decline: "الرفض", cancel: "إلغاء هذه العملية", handOver: "دع شخصًا آخر يدفع",
    newCode: "عرض رمز جديد", copy: "نسخ الرابط", copied: "تم النسخ", share: "إرسال الرابط",
    splitNote: "تدخل نصفًا هنا والنصف الآخر على هاتفك. لا يكفي أي نصف وحده للدفع.",
    phoneNote: "أرسل حاسوبك النصف الآخر. تحقق مما تدفعه قبل الموافقة.", scan: "خذ هاتفك الآن",
    scanHow: "وجّه الكاميرا إلى هذا الرمز. تعرض الصفحة التي تفتح المستفيد والمبلغ نفسيهما.", qrLabel: "رمز يفتح عملية الدفع على هاتفك",
    typed: "لا توجد كاميرا؟ افتح {where} على الهاتف واكتب", waiting: "في انتظار هاتفك…", codeOver: "انتهت صلاحية الرمز. لم يضع شيء: اعرض رمزًا جديدًا.",
    joinedTitle: "تابع على هاتفك", joined: "انضم هاتف. تحقق من أنه يعرض الرقم {number}.", match: "الرقم على الشاشتين", notMine: "ليس هاتفي: اعرض رمزًا جديدًا",
    otherTitle: "شخص آخر يدفع", otherHow: "أرسل هذا الرابط إلى من سيدفع. يعمل مرة واحدة ولن ترى ما يكتبه. ستظهر النتيجة هنا.",
    otherWaiting: "في انتظار الشخص الآخر…", sent: "وصل نصفك. في انتظار النصف الآخر…", processing: "جارٍ الدفع…",
    approved: "تم الدفع", approvedHow: "تم دفع {amount} إلى {payee}. يمكنك إغلاق هذه الصفحة.", declined: "لم يتم الدفع", declinedHow: "رُفضت العملية ولم يُخصم شيء. ابدأ من المتجر من جديد.",
    cancelled: "أُلغيت", cancelledHow: "أُلغيت هذه العملية ولم يُخصم شيء.", expired: "انتهى الوقت", expiredHow: "طال الانتظار ومُحي ما كُتب. لم يُخصم شيء.",
    print: "طباعة", back: "العودة إلى المتجر", done: "تم", offline: "لا يوجد اتصال. جارٍ إعادة المحاولة…", expires: "يرجى الإنهاء قبل {time}.",
    codeTitle: "أدخل الرمز", codeLabel: "الرمز من الشاشة الأخرى", codeHint: "14 حرفًا ورقمًا", open: "فتح عملية الدفع", problems: "يرجى التصحيح",
    joinTitle: "التسجيل للدفع", joinSplit: "تدخل نصفًا هنا والنصف الآخر على هاتفك. لا تُكتب أي كلمة مرور في هذه الصفحة.",
    newName: "اسم المستخدم", newNameHint: "اختر اسمًا بلا مسافات", contact: "رقم الهاتف أو البريد الإلكتروني", contactHint: "نرسل إليه رمزًا، مثال ‎+86 138 0013 8000",
    joinSend: "أرسل إليّ الرمز", joinSent: "خذ هاتفك الآن", joinQr: "رمز يفتح صفحة التسجيل على هاتفك",
    joinSentHow: "الرمز في طريقه إلى {contact}. وجّه كاميرا الهاتف إلى هذه الصورة، ثم اكتب الرمز هناك.",
    joinTyped: "لا توجد كاميرا؟ افتح {where} على الهاتف.", joinNowhere: "لا يقبل أي بنك أو محفظة التسجيل هنا بعد.",
    joinCode: "أدخل رمزك", joinCodeHow: "وصلك برسالة أو بالبريد الإلكتروني. لا تكتبه إلا في صفحة فتحتها من شاشة حاسوبك.",
    joinFinish: "إكمال التسجيل", joinFinishHow: "أنت {username} وستدفع من {institution}.",
    newPassword: "كلمة مرور جديدة", newPasswordHint: "12 محرفًا على الأقل، ولا تُستخدم في مكان آخر", joinDo: "تسجيل",
    joinWantsApp: "أستخدم تطبيق مصادقة بدلًا من الأرقام المرسلة", joinApp: "إعداد تطبيق المصادقة",
    joined2: "تم تسجيلك", joined2How: "ادفع باسم المستخدم {username}. يمكنك إغلاق هذه الصفحة.",
    badContact: "أدخل رقمًا يبدأ بعلامة + أو عنوان بريد إلكتروني", badPassword: "أدخل 12 محرفًا على الأقل", badCode: "الرمز من 14 حرفًا ورقمًا",
    already_exists: "اسم المستخدم هذا محجوز. ابدأ من جديد على الحاسوب باسم آخر.",
    otherQr: "رمز رابط من سيدفع", app: "استخدم تطبيق بنكك", appHow: "النصف الآخر من هذه العملية هو الرقم السري للبطاقة. لا يُكتب هذا الرقم في متصفح أبدًا: استخدم تطبيق بنكك.",
    refused: "لم يتم الدفع", refusedHow: "ما أُدخل لا يتوافق بعضه مع بعض، فلم يُرسل شيء. ابدأ من المتجر من جديد.",
    undelivered: "لم يتم الدفع", undeliveredHow: "تعذّر تسليم العملية. لم يُخصم شيء.", reversed: "أُلغي أثرها", reversedHow: "أُلغي أثر العملية. لا يُخصم شيء.",
    unknown: "النتيجة غير معروفة بعد", unknownHow: "لم يقل بنكك بعد هل تمت العملية. لا تدفع مرة أخرى: ستخبرك هذه الصفحة.",
    manual: "قيد التحقق", manualHow: "هناك من يتحقق من نتيجة العملية. لا تدفع مرة أخرى.",
    soon: "بقي أقل من دقيقة. يُمحى ما كتبته عند انتهاء الوقت.", noLink: "يحتاج هذا العنوان إلى رابط", noLinkHow: "افتح عملية الدفع من المتجر من جديد.",
    link_refused: "استُخدم هذا الرابط أو انتهت صلاحيته. اعرض رمزًا جديدًا على الشاشة الأخرى، أو افتح العملية من المتجر من جديد.",
    same_channel: "سيأتي النصفان من متصفح واحد. افتح هذه الصفحة على جهاز آخر أو في متصفح آخر.",
    not_independent: "يجب لهذا المبلغ أن يأتي النصف الآخر من جهاز آخر أو شبكة أخرى. لم يضع شيء مما كتبته.",
    already_final: "انتهت هذه العملية من قبل.", too_many: "محاولات كثيرة. انتظر دقيقة ثم حاول من جديد.", unavailable: "الخدمة مشغولة. حاول من جديد بعد قليل.",
    missing: "أدخل هذا", badPan: "أدخل من 12 إلى 19 رقمًا", badExpiry: "أدخل الشهر والسنة", badAccount: "أدخل الحساب بصيغة المزود:الاسم", failed: "لم تنجح العملية",
  },
};
const RIGHT_TO_LEFT = ["ar"];

function chosenLanguage() {
  const asked = [new URLSearchParams(location.search).get("lang"), ...navigator.languages].filter(Boolean);
  for (const tag of asked) {
    const known = Object.keys(LANGUAGES).find((name) => name.split("-")[0] === tag.split("-")[0]);
    if (known) return known;
  }
  return "en";
}

const language = chosenLanguage();
const region = navigator.languages.find((tag) => tag.split("-")[0] === language.split("-")[0]) ?? language;

function say(key, values = {}) {
  const text = LANGUAGES[language][key] ?? LANGUAGES.en[key] ?? "";
  return text.replaceAll(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

// What both pages share: building elements, the session, requests that survive a lost connection, forms, endings.

const page = { signer: null, view: null, status: null, skew: 0, keys: null, linkTimer: 0 };
const PATIENCE_MS = 15000; // one request may take that long before it is tried again
const POLL_MS = 3000; // between two looks at the state while no stream is open
const WARN_MS = 60000; // before the end
const RETRIES_MS = [500, 1000, 2000, 4000, 8000];

/** Build an element; attributes are never event handlers or styles, texts are always texts. */
function element(tag, attributes = {}, ...children) {
  const made = tag === "svg" || tag === "path"
    ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "click") made.addEventListener("click", value);
    else if (value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== null));
  return made;
}

const place = (id) => document.getElementById(id);

/** Return a panel's heading: the page's first one where no order stands above it. */
const headline = (text) => element(place("order").childElementCount ? "h2" : "h1", {}, text);

/** Show one panel in place of the last one, and bring readers of the screen to its heading. */
function show(...children) {
  place("panel").replaceChildren(...children);
  const heading = place("panel").querySelector("h1, h2");
  if (heading) {
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  }
}

function tell(text) {
  if (place("status").textContent !== text) place("status").textContent = text;
}

function localise() {
  document.documentElement.lang = language;
  document.documentElement.dir = RIGHT_TO_LEFT.includes(language) ? "rtl" : "ltr";
}

function money(order, amount = order.amount) {
  const format = new Intl.NumberFormat(region, { style: "currency", currency: order.currency });
  return format.format(amount / 10 ** format.resolvedOptions().maximumFractionDigits);
}

function showOrder() {
  const { order } = page.view;
  const more = [say("asks", { who: order.asks })];
  if (order.reference) more.push(say("reference", { what: order.reference }));
  place("order").replaceChildren(...[
    element("p", { class: "quiet" }, say("payTo")),
    element("h1", {}, element("span", { class: "payee" }, element("bdi", {}, order.payee)), element("span", { class: "amount" }, money(order))),
    order.lines.length ? element("ul", { class: "lines" }, ...order.lines.map((line) => element("li", {},
      element("bdi", {}, line.quantity === 1 ? line.text : `${line.quantity} × ${line.text}`),
      element("span", {}, money(order, line.amount))))) : null,
    ...more.map((line) => element("p", { class: "quiet" }, line)),
  ].filter(Boolean));
  document.title = `${order.payee} · ${money(order)}`;
}

const rest = (ms) => new Promise((done) => setTimeout(done, ms));
const seconds = () => Math.floor((Date.now() + page.skew) / 1000);

/** Send what `make` builds, again and again until there is an answer: the same message, freshly sealed and signed. */
async function insist(make) {
  for (let tries = 0; ; tries += 1) {
    try {
      const answer = await sendOnce(await make());
      if (tries) tell("");
      return answer;
    } catch (problem) {
      if (problem.code === "message_stale" && problem.date && tries < 2) {
        page.skew = Date.parse(problem.date) - Date.now(); // the clock of this device is off: go by the platform's
      } else if (problem.code === "key_unknown" && tries < 2) {
        await begin();
      } else if (problem instanceof Problem && problem.status !== 503) {
        throw problem;
      } else {
        tell(say("offline"));
        await rest(RETRIES_MS[Math.min(tries, RETRIES_MS.length - 1)]);
      }
    }
  }
}

async function sendOnce(request) {
  const { method, target, headers, body } = request;
  const answer = await fetch(target, { method, headers, body, redirect: "error", signal: AbortSignal.timeout(PATIENCE_MS) });
  const told = await answer.json();
  if (answer.ok) return told;
  const problem = new Problem(answer.status, told);
  problem.date = answer.headers.get("date");
  throw problem;
}

function post(target, body = "{}") {
  const idempotencyKey = freshNonce();
  return insist(() => signedRequest(page.signer, "POST", target, body, { idempotencyKey, created: seconds() }));
}

function look() {
  return insist(() => signedRequest(page.signer, "GET", "/page/payment", "", { created: seconds() }));
}

/** Send this page's half, sealed here for the platform and bound to exactly the order that is on the screen. */
async function sendPart(fields) {
  const { view } = page;
  const idempotencyKey = freshNonce();
  const content = { policy: view.policy, element: { kind: "page" }, fields };
  const { payee, amount, currency, reference, lines } = view.order;
  const listed = lines.flatMap((line) => [line.text, String(line.quantity), String(line.amount)]);
  const shown = [view.payment, payee, String(amount), currency, reference, ...listed];
  if (JSON.stringify(shown) !== JSON.stringify(view.bound)) throw new Problem(0, { code: "not_as_shown" });
  await insist(() => {
    const key = newestKey(page.keys, Date.now() + page.skew);
    const options = { bound: shown, idempotencyKey, created: seconds() };
    return sealedRequest(page.signer, key, "/page/parts", content, options);
  });
}

/**
 * Start the session of the link in the fragment. The page puts a nonce of its own behind the secret, so that it finds
 * its session again after a reload, and whoever has only the link does not. Nothing is stored.
 */
async function begin() {
  const [secret, known] = location.hash.slice(1).split(".");
  const nonce = known || freshNonce();
  if (!known) history.replaceState(null, "", `${location.pathname}${location.search}#${secret}.${nonce}`);
  const link = await linkKeys(secret);
  const starter = await macSigner(link.sender, link.key);
  const body = JSON.stringify({ nonce });
  page.view = await insist(() => signedRequest(starter, "POST", "/page/session", body, { created: seconds() }));
  page.skew = page.view.now - Date.now();
  page.keys = await readKeyList(page.view.keys);
  const session = await sessionKeys(link.key, nonce);
  page.signer = await macSigner(session.sender, session.key);
  page.status = page.view.status;
}

/** Follow the payment: by the stream of events, by asking where there is none. Calls `react` on every change. */
async function follow(react) {
  let last = "";
  const changed = (status) => {
    const seen = JSON.stringify(status);
    if (seen === last) return;
    last = seen;
    page.status = status;
    react(status);
  };
  while (!page.status.final) {
    try {
      await readStream(changed);
    } catch (problem) {
      if (problem instanceof Problem && problem.code === "link_refused") return replaced(problem);
    }
    if (page.status.final) return;
    try {
      changed(await look());
    } catch (problem) {
      return replaced(problem);
    }
    await rest(POLL_MS);
  }
}

async function readStream(changed) {
  const request = await signedRequest(page.signer, "GET", "/page/events", "", { created: seconds() });
  const answer = await fetch(request.target, { headers: request.headers });
  if (!answer.ok) throw new Problem(answer.status, await answer.json());
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    held += value;
    for (let end = held.indexOf("\n\n"); end >= 0; end = held.indexOf("\n\n")) {
      const data = held.slice(0, end).split("\n").find((line) => line.startsWith("data: "));
      held = held.slice(end + 2);
      if (data) changed(JSON.parse(data.slice(6)));
    }
  }
}

function replaced(problem) {
  clearInterval(page.linkTimer);
  tell("");
  show(headline(say("failed")), element("p", {}, explain(problem)));
}

function explain(problem) {
  return say(problem.code) || problem.remedy || say("unavailable");
}

/** Say until when; warn before, aloud, when a minute is left. */
function showDeadline() {
  const end = () => page.status.expires_at - page.skew;
  const update = () => {
    if (page.status.final || page.status.state !== "waiting") return place("deadline").replaceChildren();
    const left = end() - Date.now();
    const time = new Date(end()).toLocaleTimeString(region, { hour: "2-digit", minute: "2-digit" });
    const text = left < WARN_MS ? say("soon") || say("expires", { time }) : say("expires", { time });
    if (place("deadline").textContent !== text) place("deadline").textContent = text;
  };
  update();
  setInterval(update, 1000);
}

function qrPicture(rows, label) {
  const dark = rows.flatMap((row, y) => [...row].map((cell, x) => (cell === "1" ? `M${x} ${y}h1v1h-1z` : "")));
  return element("svg", { viewBox: `-4 -4 ${rows.length + 8} ${rows.length + 8}`, class: "qr", role: "img", "aria-label": label },
    element("path", { d: dark.join(""), "shape-rendering": "crispEdges" }));
}

// Forms

const KINDS = {
  pan: { inputmode: "numeric", autocomplete: "cc-number", maxlength: 40 },
  expiry: { inputmode: "numeric", autocomplete: "cc-exp", maxlength: 9 },
  account: { autocomplete: "username", maxlength: 64, autocapitalize: "none", spellcheck: "false" },
  username: { autocomplete: "username", maxlength: 64, autocapitalize: "none", spellcheck: "false" },
  number: { inputmode: "numeric", autocomplete: "one-time-code", maxlength: 12 },
  newName: { autocomplete: "username", maxlength: 64, autocapitalize: "none", spellcheck: "false" },
  contact: { autocomplete: "email", inputmode: "email", maxlength: 254, autocapitalize: "none", spellcheck: "false" },
  newPassword: { type: "password", autocomplete: "new-password", maxlength: 128 },
  secret: { type: "password", autocomplete: "current-password", maxlength: 128 },
  password: { type: "password", autocomplete: "current-password", maxlength: 128 },
  code: { autocomplete: "one-time-code", autocapitalize: "characters", spellcheck: "false", maxlength: 40 },
};
const BRANDS = [[/^4/, "Visa"], [/^(62|81)/, "UnionPay"], [/^(5[1-5]|2[2-7])/, "Mastercard"], [/^3[47]/, "American Express"], [/^35/, "JCB"]];

const folded = (text) => text.normalize("NFKC").trim();
const digits = (text) => folded(text).replaceAll(/[\s\u00a0\u2009-]/g, "");

/** Read one field as the platform takes it, or say what is wrong with it. */
const READERS = {
  pan: (text) => (/^\d{12,19}$/.test(digits(text)) ? { value: digits(text) } : { wrong: "badPan" }),
  expiry: (text) => {
    const found = /^(0[1-9]|1[0-2])\/?(?:20)?(\d\d)$/.exec(digits(text));
    return found ? { value: found[2] + found[1] } : { wrong: "badExpiry" };
  },
  account: (text) => (/^[a-z0-9-]{2,32}:[^\s:]+$/.test(folded(text)) ? { value: folded(text) } : { wrong: "badAccount" }),
  newName: (text) => ({ value: folded(text) }),
  contact: (text) => {
    const phone = digits(text).replaceAll(/[()]/g, "").replace(/^00/, "+");
    if (/^\+[1-9]\d{6,14}$/.test(phone)) return { value: phone };
    return /^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(folded(text)) ? { value: folded(text) } : { wrong: "badContact" };
  },
  newPassword: (text) => (text.length >= PASSWORD_MIN ? { value: text } : { wrong: "badPassword" }),
  number: (text) => (/^\d{8}$/.test(digits(text)) ? { value: digits(text) } : { wrong: "badNumber" }),
  code: (text) => {
    const code = digits(text).toUpperCase();
    return /^[2-9A-HJ-NP-Y]{14}$/.test(code) ? { value: code } : { wrong: "badCode" };
  },
};

function field(name, required) {
  const described = element("p", { id: `${name}-hint`, class: "hint" }, say(`${name}Hint`));
  const fault = element("p", { id: `${name}-fault`, class: "fault", hidden: true });
  const input = element(name === "institution" ? "select" : "input", {
    id: name, name, type: name === "institution" ? undefined : "text", required, "aria-describedby": `${name}-hint ${name}-fault`, dir: "auto", ...KINDS[name],
  });
  const brand = name === "pan" ? element("output", { class: "brand", for: name }) : null;
  if (brand) {
    input.addEventListener("input", () => {
      brand.textContent = BRANDS.find(([leading]) => leading.test(digits(input.value)))?.[1] ?? "";
    });
  }
  if (name === "institution") fillChoices(input);
  const label = element("label", { for: name }, say(name === "code" ? "codeLabel" : name));
  return element("div", { class: "field" }, label, described, element("div", { class: "entry" }, input, brand), fault);
}

/** Offer the back ends of this payment; the number is asked for where the chosen one wants it. */
function fillChoices(select) {
  const { choices } = page.view;
  select.append(...choices.map(({ id, name }) => element("option", { value: id }, name)));
  const adapt = () => {
    const numbered = choices.find(({ id }) => id === select.value)?.numbered ?? false;
    const input = place("number");
    if (!input) return;
    input.required = numbered;
    input.closest(".field").hidden = !numbered;
    if (!numbered) input.value = "";
  };
  select.addEventListener("change", adapt);
  queueMicrotask(adapt);
}

/** Read a form's fields; shows what is wrong in a summary and beside each field, and returns null. */
function readForm(form, fields) {
  const values = {};
  const wrong = [];
  for (const { name, required } of fields) {
    const input = form.elements[name];
    const empty = input.value === "";
    const read = READERS[name] ?? ((text) => ({ value: name === "username" ? folded(text) : text }));
    const { value, wrong: why } = empty ? { wrong: required || input.required ? "missing" : undefined } : read(input.value);
    const fault = place(`${name}-fault`);
    fault.textContent = why ? say(why) : "";
    fault.hidden = !why;
    if (why) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
    if (why) wrong.push({ name, text: `${say(name === "code" ? "codeLabel" : name)}: ${say(why)}` });
    if (value !== undefined) values[name] = value;
  }
  showSummary(form, wrong);
  return wrong.length ? null : values;
}

function showSummary(form, wrong) {
  form.querySelector(".summary")?.remove();
  if (!wrong.length) return;
  const items = wrong.map(({ name, text }) => {
    if (!name) return element("li", {}, text);
    const jump = (event) => {
      event.preventDefault();
      place(name).focus();
    };
    return element("li", {}, element("a", { href: `#${name}`, click: jump }, text));
  });
  const summary = element("div", { class: "summary", role: "alert", tabindex: "-1" },
    element("h2", {}, say("problems")), element("ul", {}, ...items));
  form.prepend(summary);
  summary.focus();
}

function clearForms() {
  for (const input of document.querySelectorAll("input")) input.value = "";
}

/** Keep two clicks from sending twice, and say what went wrong where it went wrong. */
async function guarded(form, work) {
  const buttons = [...document.querySelectorAll("button")];
  for (const button of buttons) button.disabled = true;
  try {
    await work();
  } catch (problem) {
    if (problem.code === "already_final") page.status = await look();
    if (!page.status?.final) showSummary(form, [{ text: explain(problem) }]);
    else showEnd();
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

function showEnd() {
  clearInterval(page.linkTimer);
  clearForms();
  tell("");
  place("deadline").replaceChildren();
  const { state } = page.status;
  const values = { payee: page.view.order.payee, amount: money(page.view.order) };
  const good = state === "approved";
  const buttons = [element("a", { class: "button", href: "/done" }, say("done"))];
  if (page.view.return_url) buttons.push(element("a", { class: "button second", href: page.view.return_url, rel: "noreferrer" }, say("back")));
  if (good) buttons.unshift(element("button", { type: "button", class: "button second", click: () => print() }, say("print")));
  show(
    element("div", { class: good ? "end good" : "end" },
      element("span", { class: "mark", "aria-hidden": "true" }, good ? "✓" : state === "unknown" || state === "manual" ? "…" : "✕"),
      element("h2", {}, say(state) || state), element("p", {}, say(`${state}How`, values))),
    ...(page.status.final ? [element("div", { class: "buttons" }, ...buttons)] : []),
  );
}

addEventListener("pagehide", clearForms);
addEventListener("pageshow", (event) => event.persisted && location.reload());
localise();

// Sign-up: the PC page takes the open half, the phone page, which has the code that was sent, the secret one.

const PASSWORD_MIN = 12; // characters

/** Ask for the fields of a form, and for `texts` above them. */
function joinForm(title, texts, names, button, send) {
  const fields = names.map(([name, required]) => ({ name, required }));
  const form = element("form", { novalidate: true, autocomplete: "on" },
    headline(say(title)), ...texts.map((text) => element("p", { class: "note" }, text)),
    ...fields.map(({ name, required }) => field(name, required)),
    element("div", { class: "buttons" }, element("button", { class: "button" }, say(button))));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const values = readForm(form, fields.filter(({ name }) => !place(name).closest(".field").hidden));
    if (values) guarded(form, () => send(values));
  });
  show(form);
  return form;
}

async function sendSealed(target, content) {
  const idempotencyKey = freshNonce();
  return insist(() => {
    const key = newestKey(page.keys, Date.now() + page.skew);
    return sealedRequest(page.signer, key, target, content, { idempotencyKey, created: seconds() });
  });
}

/** The PC: who the payer is, where the code goes, and the account or card as everybody may see it. */
async function joinPc() {
  const offer = await insist(() => ({ method: "POST", target: "/join/offer", headers: { "content-type": "application/json" }, body: "{}" }));
  page.skew = offer.now - Date.now();
  page.keys = await readKeyList(offer.keys);
  page.signer = await macSigner(offer.sender, fromBase64url(offer.key));
  page.view = { choices: offer.choices };
  if (!offer.choices.length) return show(headline(say("joinTitle")), element("p", {}, say("joinNowhere")));
  const names = [["newName", true], ["contact", true], ["institution", true], ["account", true], ["pan", true], ["expiry", false]];
  joinForm("joinTitle", [say("joinSplit")], names, "joinSend", async ({ newName, contact, ...half }) => {
    const where = contact.startsWith("+") ? { phone: contact } : { email: contact };
    const sent = await sendSealed("/join/first", { username: newName, ...where, ...half });
    clearForms();
    show(headline(say("joinSent")), element("p", {}, say("joinSentHow", { contact })), qrPicture(sent.qr, say("joinQr")),
      element("p", { class: "quiet" }, say("joinTyped", { where: sent.where.replace("https://", "") })));
  });
  const adapt = () => {
    const card = offer.choices.find(({ id }) => id === place("institution").value)?.card ?? false;
    for (const name of ["account", "pan", "expiry"]) {
      place(name).closest(".field").hidden = card === (name === "account");
      if (card === (name === "account")) place(name).value = "";
    }
  };
  place("institution").addEventListener("change", adapt);
  adapt();
  return undefined;
}

/** The phone: the code first, then the password and, for an account, its secret. */
function joinPhone() {
  joinForm("joinCode", [say("joinCodeHow")], [["code", true]], "open", async ({ code }) => {
    const { sender, key } = await linkKeys(code);
    page.signer = await macSigner(sender, key);
    const waiting = await insist(() => signedRequest(page.signer, "GET", "/join/waiting", "", { created: seconds() }));
    page.skew = waiting.now - Date.now();
    page.keys = await readKeyList(waiting.keys);
    joinSecret(waiting);
  });
}

function joinSecret(waiting) {
  const app = element("input", { id: "app", type: "checkbox", class: "tick" });
  const names = [["newPassword", true], ...(waiting.card ? [] : [["secret", true]])];
  const form = joinForm("joinFinish", [say("joinFinishHow", { username: waiting.username, institution: waiting.institution })], names, "joinDo",
    async ({ newPassword, secret }) => {
      const joined = await sendSealed("/join/second", { password: newPassword, secret: secret ?? null, app: app.checked });
      clearForms();
      const link = joined.app ? element("a", { class: "button", href: joined.app }, say("joinApp")) : null;
      show(element("div", { class: "end good" }, element("span", { class: "mark", "aria-hidden": "true" }, "✓"),
        headline(say("joined2")), element("p", {}, say("joined2How", { username: joined.username }))),
      element("div", { class: "buttons" }, link, element("a", { class: link ? "button second" : "button", href: "/done" }, say("done"))));
    });
  form.querySelector(".buttons").before(element("label", { class: "choice", for: "app" }, app, say("joinWantsApp")));
}

// The phone page: what is paid, to whom, who asks; then the other half, or no.

function showApproval() {
  const { fields } = page.view;
  const form = element("form", { novalidate: true, autocomplete: "on" },
    element("p", { class: "match" }, element("span", { class: "quiet" }, say("match")), element("strong", {}, String(page.status.number))),
    ...(fields.length ? fields.map(({ name, required }) => field(name, required)) : [element("h2", {}, say("app")), element("p", {}, say("appHow"))]),
    element("p", { class: "note" }, say("phoneNote")),
    element("div", { class: "buttons even" },
      element("button", { type: "button", class: "button weighty", id: "decline", click: () => guarded(form, decline) }, say("decline")),
      fields.length ? element("button", { class: "button", id: "approve" }, say("approve")) : null));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const values = readForm(form, fields);
    if (values) guarded(form, async () => {
      await sendPart(values);
      clearForms();
      if (page.status.final) return;
      page.status = { ...page.status, sent: true };
      showSent();
    });
  });
  show(form);
}

async function decline() {
  await post("/page/decline");
  page.status = await look();
  showEnd();
}

function showSent() {
  show(element("h2", {}, say(page.status.state === "processing" ? "processing" : "sent")), element("div", { class: "busy", "aria-hidden": "true" }));
  tell(say(page.status.state === "processing" ? "processing" : "sent"));
}

function showCode(problem) {
  const form = element("form", { novalidate: true },
    headline(say("codeTitle")), field("code", true),
    element("div", { class: "buttons" }, element("button", { class: "button" }, say("open"))));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const values = readForm(form, [{ name: "code", required: true }]);
    if (!values) return;
    history.replaceState(null, "", `${location.pathname}${location.search}#${values.code}`);
    open();
  });
  show(form);
  if (problem) showSummary(form, [{ text: explain(problem) }]);
}

function react(status) {
  if (status.final || status.state === "unknown" || status.state === "manual") return showEnd();
  if (status.sent || status.state === "processing") return showSent();
  return undefined;
}

async function open() {
  tell(say("loading"));
  try {
    await begin();
  } catch (problem) {
    tell("");
    history.replaceState(null, "", location.pathname + location.search);
    return showCode(problem);
  }
  tell("");
  showOrder();
  showDeadline();
  if (page.status.final) return showEnd();
  if (page.status.sent) showSent();
  else showApproval();
  return follow(react);
}

if (location.pathname === "/join") joinPhone();
else if (location.hash.slice(1)) open();
else showCode();
