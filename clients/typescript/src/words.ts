/** The widget's few words. */
export interface Words {
  start: string;
  /** What to do, with a pointer and without. */
  hint: string;
  /** `#` stands for the bubble's number, `%` for how many there are. */
  bubble: string;
  sending: string;
  done: string;
  expired: string;
  error: string;
}

// start | hint | bubble | sending | done | expired | error
const LANGUAGES: Record<string, string> = {
  en: 'Start the check|Click or tap each bubble, or press Space on it.|Bubble # of %|One moment…|Done. Thank you.|The check has expired. Start again.|That did not work. Try again.',
  de: 'Prüfung starten|Klicke oder tippe jede Blase an, oder drücke die Leertaste.|Blase # von %|Einen Moment…|Fertig. Danke.|Die Prüfung ist abgelaufen. Neu starten.|Das hat nicht geklappt. Noch einmal versuchen.',
  fr: 'Lancer la vérification|Cliquez ou touchez chaque bulle, ou appuyez sur Espace.|Bulle # sur %|Un instant…|Terminé. Merci.|La vérification a expiré. Recommencer.|Cela n’a pas marché. Réessayer.',
  es: 'Empezar la verificación|Haz clic o toca cada burbuja, o pulsa Espacio.|Burbuja # de %|Un momento…|Listo. Gracias.|La verificación ha caducado. Empezar de nuevo.|No ha funcionado. Inténtalo de nuevo.',
  it: 'Avvia la verifica|Fai clic o tocca ogni bolla, oppure premi Spazio.|Bolla # di %|Un momento…|Fatto. Grazie.|La verifica è scaduta. Ricomincia.|Non ha funzionato. Riprova.',
  pt: 'Iniciar a verificação|Clique ou toque em cada bolha, ou prima Espaço.|Bolha # de %|Um momento…|Pronto. Obrigado.|A verificação expirou. Recomeçar.|Não funcionou. Tentar de novo.',
  nl: 'Start de controle|Klik of tik op elke bel, of druk op de spatiebalk.|Bel # van %|Een moment…|Klaar. Bedankt.|De controle is verlopen. Begin opnieuw.|Dat lukte niet. Probeer het opnieuw.',
  pl: 'Rozpocznij weryfikację|Kliknij lub dotknij każdej bańki albo naciśnij spację.|Bańka # z %|Chwileczkę…|Gotowe. Dziękujemy.|Weryfikacja wygasła. Zacznij od nowa.|Nie udało się. Spróbuj ponownie.',
  tr: 'Doğrulamayı başlat|Her balona tıklayın, dokunun ya da Boşluk tuşuna basın.|Balon # / %|Bir dakika…|Tamam. Teşekkürler.|Doğrulamanın süresi doldu. Yeniden başlat.|Olmadı. Yeniden dene.',
  ja: '確認を始める|泡をクリックまたはタップするか、スペースキーを押してください。|泡 #/%|お待ちください…|完了しました。ありがとうございます。|確認の期限が切れました。やり直す|うまくいきませんでした。もう一度試す',
  zh: '开始验证|点击或轻触每个气泡，或按空格键。|气泡 #/%|请稍候…|完成，谢谢。|验证已过期，请重新开始。|出错了，请重试。',
  ar: 'ابدأ التحقق|انقر أو المس كل فقاعة، أو اضغط مفتاح المسافة.|فقاعة # من %|لحظة من فضلك…|تم. شكرًا لك.|انتهت صلاحية التحقق. ابدأ من جديد.|لم ينجح ذلك. حاول مرة أخرى.',
};

/** The words of a language such as `pt-BR`, or of the first that there is, or English. */
export function words(...languages: Array<string | null | undefined>): Words & { language: string } {
  const known = languages.map((name) => (name ?? '').toLowerCase().split('-')[0]!).find((name) => Object.hasOwn(LANGUAGES, name)) ?? 'en';
  const [start, hint, bubble, sending, done, expired, error] = LANGUAGES[known]!.split('|') as [string, string, string, string, string, string, string];
  return { language: known, start, hint, bubble, sending, done, expired, error };
}

/** Codes of the languages. */
export const languages = Object.keys(LANGUAGES);
